"""Keeps image libraries quiet while they read, and turns whatever they raise into an ImageError."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overread.data.pixels import cut_short
from overread.errors import ImageError


class _Quiet:
    """Silences the libraries' warnings while at least one thread reads a file.

    `warnings.catch_warnings` alone is not safe between threads: the filters are one per process, and the last
    to leave would restore those of another. So the first to enter silences and the last to leave restores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._silence = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._silence = warnings.catch_warnings()
                self._silence.__enter__()
                warnings.simplefilter("ignore")
                # nibabel's own handler prints to the terminal whatever the application asks for
                logging.getLogger("nibabel.global").disabled = True
            self._readers += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._silence.__exit__(None, None, None)
                logging.getLogger("nibabel.global").disabled = False


quiet = _Quiet()
_CUT_SHORT_ERRORS = (EOFError, struct.error, zlib.error, zipfile.BadZipFile)
_CUT_SHORT = ("truncated", "less than expected", "end of file", "end-of-file", "unexpected eof", "not enough")


def _reason(error: BaseException, path: Path) -> str:
    """The library's own words: one line, without the folders that the file lies in."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = " ".join(words.split()) or type(error).__name__
    # what pydicom says after the dash is a guess at the cause
    return line.split(" - ")[0].replace(str(path), path.name).rstrip(".")[:200]


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Let nothing but ImageError (and a lack of memory) out of a block that reads `path`."""
    try:
        with quiet:
            yield
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError:
        raise ImageError(f"{path.name} is not there. Check the path.", kind="missing") from None
    except PermissionError:
        raise ImageError(f"{path.name} may not be read. Check its permissions.", kind="unreadable") from None
    except BaseException as error:
        # a decoder that is written in Rust panics with what is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = _reason(error, path)
        if isinstance(error, _CUT_SHORT_ERRORS) or any(words in str(error).lower() for words in _CUT_SHORT):
            raise cut_short(path.name, reason) from error
        raise ImageError(
            f"{path.name} cannot be decoded ({reason}). Export it again, or leave it out.", kind="unreadable"
        ) from error
