"""The store: one database and one folder of files. SQLite by default, PostgreSQL by its address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from overread.disk import remove_leftovers
from overread.errors import SettingsError
from overread.serve.archive import Archive
from overread.serve.database import faults_told, make_engine
from overread.serve.identity import SiteKey, may_be_hash, read_key
from overread.serve.migrate import migrate
from overread.serve.tables import Study
from overread.serve.trail import write_steps

DATABASE, FILES = "store.sqlite", "files"


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
        with self._turn, faults_told(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session
            session.flush()  # takes its locks before the trail's
            write_steps(session)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Lend a session that only reads: it waits for nobody. Raises ServiceError where the database is away."""
        with faults_told(), Session(self._reading, expire_on_commit=False) as session:
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

    The tables are brought to this version of overread. Raises SettingsError for an address that is none, for a folder
    that cannot be written or holds no store, or not all of it, and for one that has files where the database has no
    tables. ServiceError where the database cannot be used.
    """
    folder = Path(folder)
    is_used = (folder / FILES).is_dir()  # looked for first: it is made after the rows
    _check_there(folder, url, is_used=is_used, make=make)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(f"--store {folder} cannot be made: {fault.strerror}. Choose another folder.") from fault
    _check_writable(folder)
    engine = make_engine(f"sqlite:///{folder / DATABASE}" if url is None else url)
    try:
        with faults_told():
            migrate(engine, lock=folder / "migrate.lock", make=make and not is_used)
        remove_leftovers(folder)
        return Store(folder, engine)
    except BaseException:
        engine.dispose()
        raise


def _check_there(folder: Path, url: str | None, *, is_used: bool, make: bool) -> None:
    """Refuse a folder whose rows are elsewhere, or that holds no store where none is to be made."""
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
