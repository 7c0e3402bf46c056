"""What a zip archive holds, file by file, within bounds. Its names are shown and never used as paths."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from overread.data.zipped import TooLongError, Zipped
from overread.errors import ServiceError

_PIECE = 1 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_LEFT_OUT = ("DICOMDIR",)
_NAME = 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks these piece by piece, and what is read of the others in one go, however large it becomes"""
_ENTRY_BYTES = 512
"""of the list of contents, for each file that may come: names are no longer than that"""


def is_zip(path: Path) -> bool:
    """True for a zip archive; NPZ files are some too, and those begin with an array."""
    with path.open("rb") as file:
        head = file.read(30 + _NAME)
    if head[:4] not in _ZIP:
        return False
    # the first file's own header (APPNOTE 4.3.7)
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return not (head[:4] == _ZIP[0] and name.endswith(b".npy"))


class Unpacker:
    """Opens an archive, and counts what comes out of it. Raises ServiceError where it is none, or holds too much."""

    def __init__(self, path: Path, *, name: str, max_files: int, max_bytes: int, max_file_bytes: int) -> None:
        self.name, self.max_bytes, self.max_file_bytes = name, max_bytes, max_file_bytes
        if _is_empty(path):
            raise _no_files(name)
        try:
            self._archive = Zipped(path, most_bytes=2 * _PIECE + _ENTRY_BYTES * max_files)
        except TooLongError as fault:
            raise _too_many(name, max_files) from fault
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as fault:
            raise ServiceError(f"{name} is no zip archive that can be opened. Pack it again.", kind="zip") from fault
        self.members = [member for member in self._archive.infolist() if _wanted(member)]
        if not 0 < len(self.members) <= max_files:
            self._archive.close()
            raise _too_many(name, max_files) if self.members else _no_files(name)
        self._n_bytes = 0

    def names(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        """The files in it, by the name that is shown."""
        for member in self.members:
            yield self._shown(member), member

    def unpack(self, member: zipfile.ZipInfo, path: Path) -> None:
        """Write one file to `path`. What it says of its size is not believed: the bytes are counted as they come."""
        n_bytes, shown = 0, self._shown(member)
        if member.compress_type not in _METHODS:
            raise ServiceError(f"{shown} is packed in a way that is not taken. Pack it with Deflate.", kind="zip")
        try:
            with self._archive.open(member) as packed, path.open("wb") as file:
                while piece := packed.read(_PIECE):
                    n_bytes += len(piece)
                    self._n_bytes += len(piece)
                    self._check(n_bytes, shown)
                    file.write(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
            words = f"{shown} cannot be unpacked: damaged, or locked by a password."
            raise ServiceError(words, kind="zip") from fault

    def close(self) -> None:
        """Let go of the archive."""
        self._archive.close()

    def _shown(self, member: zipfile.ZipInfo) -> str:
        return f"{self.name}: {PurePosixPath(member.filename).name}"[:255]

    def _check(self, n_bytes: int, shown: str) -> None:
        if n_bytes > self.max_file_bytes:
            raise ServiceError(
                f"{shown} unpacks to more than {self.max_file_bytes / 1e6:.0f} MB, which is the most that is taken.",
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


def _is_empty(path: Path) -> bool:
    """True for an archive that begins with its end (APPNOTE 4.3.16), which zipfile cannot open through Zipped."""
    with path.open("rb") as file:
        return file.read(4) == _ZIP[1]


def _no_files(name: str) -> ServiceError:
    return ServiceError(f"{name} holds no files. Pack it again, with the images in it.", kind="zip")


def _too_many(name: str, max_files: int) -> ServiceError:
    return ServiceError(
        f"{name} holds more files than are taken at once: at most {max_files:,}. Divide it.",
        kind="too-many-files",
        status=413,
    )


def _wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return not member.is_dir() and not hidden and path.name not in _LEFT_OUT
