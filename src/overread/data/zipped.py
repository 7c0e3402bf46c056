"""Zip archives whose list of contents is bounded: Python reads all of it before anything else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path


class TooLongError(zipfile.BadZipFile):
    """The list of contents is longer than is read."""


class Zipped(zipfile.ZipFile):
    """An archive that is open for reading. Raises TooLongError, and what zipfile.ZipFile does.

    most_bytes: of the list of contents, and of anything else that is read in one go. An entry of the list takes 46
    bytes of the file, and twenty times that of memory.
    """

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        self._within: _Within | None = None  # close is called, too, where the file is not there
        self._within = _Within(path, most_bytes)
        try:
            super().__init__(self._within)
        except BaseException:
            self._within.close()
            raise

    def close(self) -> None:
        """Let go of the archive."""
        super().close()
        if self._within is not None:
            self._within.close()


class _Within(io.FileIO):
    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path)
        self._most_bytes = most_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most_bytes:
            raise TooLongError(f"its list of contents has more than {self._most_bytes:,} bytes")
        return super().read(size) or b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as fault:  # a place before the file's beginning
            raise zipfile.BadZipFile("the list of contents of the zip archive points outside it") from fault
