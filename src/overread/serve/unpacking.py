"""What a zip archive holds, file by file, within bounds. Its names are shown and never used as paths."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from overread.errors import ServiceError

_PIECE = 1 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_LEFT_OUT = ("DICOMDIR",)


def is_zip(path: Path) -> bool:
    """True for a zip archive; NPZ files are some too, and those hold arrays."""
    with path.open("rb") as file:
        if file.read(4) not in _ZIP:
            return False
    with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError), zipfile.ZipFile(path) as archive:
        return not any(name.endswith(".npy") for name in archive.namelist())
    return True


class Unpacker:
    """Opens an archive, and counts what comes out of it. Raises ServiceError where it is none, or holds too much."""

    def __init__(self, path: Path, *, name: str, max_files: int, max_bytes: int, max_file_bytes: int) -> None:
        self.name, self.max_bytes, self.max_file_bytes = name, max_bytes, max_file_bytes
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as fault:
            raise ServiceError(f"{name} is no zip archive that can be opened. Pack it again.", kind="zip") from fault
        self.members = [member for member in self._archive.infolist() if _wanted(member)]
        if len(self.members) > max_files:
            raise ServiceError(
                f"{name} holds {len(self.members):,} files; at most {max_files:,} are taken at once. Divide it.",
                kind="too-many-files",
                status=413,
            )
        self._n_bytes = 0

    def names(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        """The files in it, by the name that is shown."""
        for member in self.members:
            yield f"{self.name}: {PurePosixPath(member.filename).name}"[:255], member

    def unpack(self, member: zipfile.ZipInfo, path: Path) -> None:
        """Write one file to `path`. What it says of its size is not believed: the bytes are counted as they come."""
        n_bytes = 0
        try:
            with self._archive.open(member) as packed, path.open("wb") as file:
                while piece := packed.read(_PIECE):
                    n_bytes += len(piece)
                    self._n_bytes += len(piece)
                    self._check(n_bytes)
                    file.write(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
            raise ServiceError("It cannot be unpacked: damaged, or locked by a password.", kind="zip") from fault

    def close(self) -> None:
        """Let go of the archive."""
        self._archive.close()

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self.max_file_bytes:
            raise ServiceError(
                f"It unpacks to more than {self.max_file_bytes / 1e6:.0f} MB, which is the most that is taken.",
                kind="too-large",
                status=413,
            )
        if self._n_bytes > self.max_bytes:
            raise ServiceError(
                f"{self.name} unpacks to more than {self.max_bytes / 1e6:.0f} MB in all; it is refused as a bomb. "
                "Divide it.",
                kind="bomb",
                status=413,
            )


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return not member.is_dir() and not hidden and path.name not in _LEFT_OUT
