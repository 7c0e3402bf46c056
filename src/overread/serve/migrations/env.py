"""Run by Alembic: the steps go over the connection that the store hands in."""

from alembic import context

from overread.serve.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
