"""The store: one database and one folder of files. SQLite by default, PostgreSQL by its address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from overread.disk import remove_leftovers
from overread.errors import ServiceError, SettingsError
from overread.serve.archive import Archive, no_room
from overread.serve.identity import SiteKey, may_be_hash, read_key
from overread.serve.migrate import migrate
from overread.serve.tables import Study
from overread.serve.trail import write_steps

DATABASE, FILES = "store.sqlite", "files"
_BUSY_S = 30
_MOST_CONNECTIONS = 64
"""more than a server has threads"""


class Store:
    """Where everything is kept: rows in a database, files in an archive beside it."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self._reading = engine.execution_options(reading=True)
        # SQLite lets one write at a time, and who waits for it sleeps and looks again; a lock wakes the next at once
        self._turn: AbstractContextManager[object] = Lock() if engine.dialect.name == "sqlite" else nullcontext()
        self.key: SiteKey = read_key(folder / "site.key", is_needed=self._knows_hashes)
        self.files = Archive(folder / FILES)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Lend a session that may write; it is committed at a clean end, and undone at any other.

        Steps of the trail that were noted in it are written with it. On SQLite one writes at a time, and the others
        wait. Raises ServiceError where the database is away or full.
        """
        with self._turn, _told(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session
            session.flush()  # takes its locks before the trail's
            write_steps(session)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Lend a session that only reads: it waits for nobody. Raises ServiceError where the database is away."""
        with _told(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    def _knows_hashes(self) -> bool:
        with self.read() as session:
            return any(map(may_be_hash, session.scalars(select(Study.patient).distinct())))

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()
        self.files.close()


def open_store(folder: str | Path, *, url: str | None = None, make: bool = True) -> Store:
    """Open the store in `folder`; `url`: a database elsewhere. make: whether to make it where it is not there.

    The tables are brought to this version of overread. Raises SettingsError for an address that is none, and for a
    folder that cannot be written or holds no store, or not all of it; ServiceError where the database does not answer.
    """
    folder = Path(folder)
    _check_there(folder, url, make=make)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(f"--store {folder} cannot be made: {fault.strerror}. Choose another folder.") from fault
    _check_writable(folder)
    engine = _engine(url or f"sqlite:///{folder / DATABASE}")
    try:
        with _told():
            migrate(engine, lock=folder / "migrate.lock", make=make)
        remove_leftovers(folder)
        return Store(folder, engine)
    except BaseException:
        engine.dispose()
        raise


def _check_there(folder: Path, url: str | None, *, make: bool) -> None:
    """Refuse a folder whose rows are elsewhere, or that holds no store where none is to be made."""
    is_used = (folder / FILES).is_dir()  # looked for first: it is made after the rows
    has_rows = url is not None or (folder / DATABASE).exists()
    if is_used and not has_rows:
        raise SettingsError(
            f"--store {folder} has no {DATABASE}: its rows are in a database elsewhere: give --database. If they "
            f"never were, bring {DATABASE} back from a backup."
        )
    if not make and not (has_rows and (is_used or url is None)):
        raise SettingsError(f"--store {folder} holds no store. Name the folder that overread serve was given.")


def _check_writable(folder: Path) -> None:
    """Say so where the folder, or what of it is there already, cannot be written: SQLite's own words do not."""
    for path in (folder, folder / FILES, folder / FILES / "incoming", folder / DATABASE):
        if path.exists() and not os.access(path, os.W_OK):
            raise SettingsError(
                f"--store: {path} cannot be written, and a store that is only looked at is written to as well (locks "
                "beside its files). Allow that, or make a copy of the folder and name the copy."
            )


def _engine(url: str) -> Engine:
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
    return engine


def _settings_of(kind: str) -> dict[str, Any]:
    if kind == "sqlite":
        return {"connect_args": {"timeout": _BUSY_S, "check_same_thread": False}, "pool_size": _MOST_CONNECTIONS}
    return {"connect_args": {"connect_timeout": 5}, "pool_size": 8, "max_overflow": 16, "pool_pre_ping": True}


def _ready_sqlite(connection: Any, _record: Any) -> None:
    """Readers beside one writer; a commit is on the disk when it returns; transactions are begun by us alone."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    """Take the lock for writing at once: two that read first and write then would wait for each other for ever."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _told() -> Iterator[None]:
    """Say what a database that fails means for who asks."""
    try:
        yield
    except DBAPIError as fault:
        words = str(fault.orig).splitlines()[0] if str(fault.orig) else type(fault.orig).__name__
        if "full" in words.lower() or "no space" in words.lower():
            raise no_room() from fault
        if fault.connection_invalidated or type(fault).__name__ in ("OperationalError", "InterfaceError"):
            raise ServiceError(
                f"The store's database does not answer ({_without_address(words)}). Try again in a moment; "
                "whoever keeps it should see to it.",
                kind="store-away",
                status=503,
            ) from fault
        if type(fault).__name__ == "DataError":
            raise ServiceError(
                "The text holds characters that the store's database cannot keep. Take them out.",
                kind="not-understood",
                status=422,
            ) from fault
        raise


def _without_address(words: str) -> str:
    """The driver's words without the host, the user or the statement that they may hold."""
    for known in ("database is locked", "unable to open database file", "disk I/O error", "refused", "timeout"):
        if known in words:
            return known
    return "connection lost"
