"""Bring a database's tables to what this version of overread expects."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from overread.disk import try_lock
from overread.errors import ServiceError, SettingsError
from overread.serve.tables import Table

HEAD = "0001"
"""the newest step in migrations/versions"""
_LOCK = 0x6D696772
_PATIENCE_S = 60.0


def migrate(engine: Engine, *, lock: Path, make: bool = True) -> None:
    """Run the steps that are missing; nothing where there are none. One process at a time does it.

    make: whether a database without any is to get them. Raises SettingsError where it is not, and ServiceError where
    the database was made by a newer overread.
    """
    found = _version(engine)
    if found == HEAD:
        return
    if found is None and not make:
        raise SettingsError(
            "The database holds no store. Name the --store, and the --database, that overread serve was given."
        )
    with _alone(engine, lock):
        found = _version(engine)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise ServiceError(
                f"The store was made by a newer overread (its tables are {found}, this one knows {HEAD}). "
                "Update overread.",
                kind="store-newer",
                status=503,
            )
        _run_steps(engine)


def _version(engine: Engine) -> str | None:
    """The newest step that was run; None where there is none. Raises SettingsError for tables of others, or parts."""
    with engine.connect() as connection:
        names, found = set(inspect(connection).get_table_names()), None
        if "alembic_version" in names:
            found = connection.execute(text("select version_num from alembic_version")).scalar()
    ours = set(Table.metadata.tables)
    wrong = ours - names if found == HEAD else ours & names if found is None else set()
    if wrong or (found and not re.fullmatch(r"\d{4}", found)):
        raise SettingsError(
            "The store's database was not made by overread, or not all of it is there "
            f"({', '.join(sorted(wrong)) or 'alembic_version'}). Give an empty one in UTF-8 (createdb -E UTF8 NAME), "
            "or bring the store's own back from a backup."
        )
    return found


def _run_steps(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine, lock: Path) -> Iterator[None]:
    """Keep other processes from doing the same: by a file beside SQLite, by the database itself elsewhere."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            _say(connection, "select pg_advisory_lock(:key)")
            try:
                yield
            finally:
                _say(connection, "select pg_advisory_unlock(:key)")
        return
    until = time.monotonic() + _PATIENCE_S
    with lock.open("a") as file:
        while not try_lock(file.fileno()):
            if time.monotonic() > until:
                raise ServiceError("Another overread is still preparing the store. Try again.", status=503)
            time.sleep(0.05)
        yield


def _say(connection: Connection, words: str) -> None:
    connection.execute(text(words), {"key": _LOCK})
    connection.commit()
