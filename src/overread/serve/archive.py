"""Files under the hash of their content: whole or not there, and never written twice."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overread.disk import flush_folder, is_full, try_lock
from overread.errors import RunError, ServiceError

_LOCK = ".lock"
_DAY_S = 86_400
_TRIES = 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Archive:
    """A folder of files. Names are hashes, so that nothing of what a sender says becomes a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "incoming").mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder / "incoming")
        name = self.name = secrets.token_hex(8)
        """of this process, as `is_alive` knows it"""
        self._lock_path = folder / "incoming" / f"{name}{_LOCK}"
        self._lock = _hold(self._lock_path)
        self.incoming = folder / "incoming" / name
        """what this process has half received"""
        self.incoming.mkdir()

    def close(self) -> None:
        """Let go of what has not been kept."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            self._lock_path.unlink(missing_ok=True)

    def is_alive(self, name: str) -> bool:
        """Whether the process of this name still has the archive open; True where that cannot be found out."""
        if name == self.name or os.name == "nt":
            return True
        try:
            with (self.folder / "incoming" / f"{name}{_LOCK}").open("rb") as file:
                return not try_lock(file.fileno())
        except OSError:
            return False

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """Lend a path for what is coming in; it is gone afterwards, unless it was kept."""
        path = self.incoming / secrets.token_hex(16)
        try:
            with self._faults_told():
                yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def keep(self, path: Path) -> str:
        """Take a file over, and return the SHA-256 that finds it again. It is on the disk when this returns."""
        with self._faults_told():
            return self._keep(path)

    def hold(self, path: Path) -> str:
        """Take a file over for a while, under a name that no other has: who holds it may remove it."""
        name = secrets.token_hex(32)
        with self._faults_told():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            self._move(path, name)
        return name

    def _keep(self, path: Path) -> str:
        with path.open("rb+") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        kept = self.path_of(sha256)
        try:
            os.utime(kept)  # it is as young as its newest copy
        except FileNotFoundError:
            self._move(path, sha256)
            return sha256
        path.unlink()
        flush_folder(kept.parent)  # who moved it there a moment ago may not have come to that
        return sha256

    def _move(self, path: Path, name: str) -> None:
        kept = self.path_of(name)
        made = not kept.parent.exists()
        kept.parent.mkdir(exist_ok=True)
        path.replace(kept)
        flush_folder(kept.parent)
        if made:
            flush_folder(self.folder)

    def check_there(self) -> None:
        """Raise ServiceError where the disk that all files lie on is away, as that of another machine may be."""
        if not self.incoming.is_dir():
            raise ServiceError(
                "The folder of the store's files is away. Nothing that was taken in is lost; try again later.",
                kind="store-away",
                status=503,
            )

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        """Say in the service's own words that the disk is full, or away."""
        try:
            yield
        except (OSError, RunError) as fault:
            cause = fault if isinstance(fault, OSError) else fault.__cause__
            if isinstance(cause, OSError) and is_full(cause):
                raise no_room() from cause
            if isinstance(cause, OSError):
                self.check_there()
            raise

    def old(self) -> Iterator[Path]:
        """Files that have lain there for more than a day; what has just come may not have its row yet."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            with suppress(OSError):
                yield from filter(is_old, folder.iterdir())

    def path_of(self, name: str) -> Path:
        """Where a file lies, or would lie, of which `keep` or `hold` gave the name. ServiceError for any other."""
        if not _SHA256.fullmatch(name):
            raise ServiceError(f"{name[:80]!r} is no name of a file here.", kind="not-found", status=404)
        return self.folder / name[:2] / name


def is_old(path: Path) -> bool:
    """Whether a file has lain there for more than a day; not one that another process has just removed."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < time.time() - _DAY_S
    return False


def no_room() -> ServiceError:
    """What is said where the disk is full."""
    return ServiceError(
        "The disk of the store is full. Nothing that was taken in is lost; free some space and try again.",
        kind="store-full",
        status=507,
    )


def _hold(path: Path) -> int:
    """A lock file, held until the process ends, however it does; its handle.

    Another process that starts now may have taken it for one that was left, and removed it before it was held.
    """
    for _ in range(_TRIES):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with suppress(FileNotFoundError):
            if try_lock(handle) and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)
    return os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)  # a disk that knows no locks


def _remove_unfinished(folder: Path) -> None:
    """Remove what processes that are gone had only half received: those that live hold their locks."""
    if os.name == "nt":  # no locks there that end with their process
        return
    for lock in folder.glob(f"*{_LOCK}"):
        with suppress(OSError), lock.open("a") as file:
            if try_lock(file.fileno()):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()
