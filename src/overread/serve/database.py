"""The database: how it is spoken to, and what its faults mean for who asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as AllInUseError

from overread.errors import ServiceError, SettingsError
from overread.serve.archive import no_room

_BUSY_S = 30
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}
"""with PostgreSQL: of a machine that is cut off nothing is heard, and the system would wait for it for two hours"""
_MOST_CONNECTIONS = 64
"""more than a server has threads"""
_MAY_NOT = "42501"
"""PostgreSQL's insufficient_privilege"""
_SHUT = {
    r'database ".*" does not exist': "there is no database of that name",
    r'role ".*" does not exist|authentication failed|no password supplied|pg_hba\.conf': (
        "it does not let this user in: by this name, with this password, from here"
    ),
    r"resolve host|translate host name": "no host of that name is known",
}
"""why no later try will help"""
_AWAY = {
    r"database is locked|unable to open database file|disk I/O error|timeout": r"\g<0>",
    r"refused|No such file or directory": "refused: nothing listens at its address",
}
"""why a later try may help; else the connection was lost"""


def make_engine(url: str) -> Engine:
    """What speaks to the database at an address. Raises SettingsError for an address that is none."""
    try:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() not in ("sqlite", "postgresql"):
            raise SettingsError("--database takes postgresql://user@host/name, or nothing for SQLite in the store.")
        engine = create_engine(address, **_settings_of(address.get_backend_name()))
    except ModuleNotFoundError as fault:
        raise SettingsError("--database needs psycopg: pip install 'overread[serve,postgres]'.") from fault
    except SQLAlchemyError as fault:
        raise SettingsError("--database is no address, such as postgresql://user@host/name.") from fault
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _ready_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _check_text, insert=True)  # before SQLAlchemy reads bytes where it wants text
    return engine


def _settings_of(kind: str) -> dict[str, Any]:
    if kind == "sqlite":
        return {"connect_args": {"timeout": _BUSY_S, "check_same_thread": False}, "pool_size": _MOST_CONNECTIONS}
    return {"connect_args": _PATIENCE, "pool_size": 8, "max_overflow": 16, "pool_pre_ping": True}


def _ready_sqlite(connection: Any, _record: Any) -> None:
    """Readers beside one writer; a commit is on the disk when it returns; transactions are begun by us alone."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    """Take the lock for writing at once: two that read first and write then would wait for each other for ever."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _check_text(connection: Any, _record: Any) -> None:
    """Refuse a database whose text is bytes of no known meaning."""
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        connection.close()
        raise SettingsError(
            "--database: its text is in SQL_ASCII. Give an empty database in UTF-8: createdb -E UTF8 NAME"
        )


@contextmanager
def faults_told() -> Iterator[None]:
    """Say what a database that fails means for who asks."""
    try:
        yield
    except DBAPIError as fault:
        told = _told(fault)
        if told is None:
            raise
        raise told from fault
    except AllInUseError as fault:  # each connection has been at work for half a minute
        raise _unusable(
            "The store's database does not answer (all connections are in use). Try again in a moment; "
            "whoever keeps it should see to it."
        ) from fault


def _told(fault: DBAPIError) -> ServiceError | None:
    """A fault in words without the host, the user or the statement that the driver's may hold; None: it is ours."""
    words, kind = str(fault.orig), type(fault).__name__
    if (why := why_shut(words)) and kind == "OperationalError":
        return _unusable(f"The store's database cannot be opened: {why}. Whoever keeps it should check --database.")
    if re.search("full|no space", words.partition("\n")[0], re.IGNORECASE):
        return no_room()
    if getattr(fault.orig, "sqlstate", None) == _MAY_NOT:
        return _unusable(
            "The store's database does not let its user do what overread does. Make that user its owner."
        )
    if kind == "DatabaseError" and (found := re.search("file is not a database|malformed", words)):
        return _unusable(f"store.sqlite is no database, or is damaged ({found[0]}). Bring it back from a backup.")
    if fault.connection_invalidated or kind in ("OperationalError", "InterfaceError"):
        return _unusable(
            f"The store's database does not answer ({_why_away(words)}). Try again in a moment; "
            "whoever keeps it should see to it."
        )
    if kind == "DataError":
        return ServiceError(
            "The text holds characters that the store's database cannot keep. Take them out.",
            kind="not-understood",
            status=422,
        )
    return None


def _unusable(words: str) -> ServiceError:
    return ServiceError(words, kind="store-away", status=503)


def why_shut(words: str) -> str:
    """Why a database takes no connection, of the driver's words; empty where another try may help."""
    return next((why for pattern, why in _SHUT.items() if re.search(pattern, words)), "")


def _why_away(words: str) -> str:
    found = ((re.search(pattern, words), why) for pattern, why in _AWAY.items())
    return next((match.expand(why) for match, why in found if match), "connection lost")
