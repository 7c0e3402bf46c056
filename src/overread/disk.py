"""Write a file whole or not at all: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from overread.errors import RunError

_PREFIX = ".part-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write `content` to `path`: a reader sees the old file or the new one, never a part.

    Text is written as UTF-8 with its line ends as they are. Missing folders are made. RunError where the
    disk is full or the folder may not be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_once(path: Path, content: str) -> bool:
    """Write a file that only its owner may read, whole, where there is none; False where there is.

    Of several that do so at once one writes, and the others find its file. OSError as it comes.
    """
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        _write_new(temporary, content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # FAT, and some shares, know no second name of a file
            _write_new(path, content)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)
    return True


def _write_new(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Lend a temporary path in the folder of `path`, and put what was written there in its place.

    The temporary name keeps the ending of `path`, so a writer that goes by it is not misled. The rename
    comes only after a clean end and a flush to the disk; on a failure `path` is as it was before, and the
    temporary file is gone. RunError as for `write_atomically`; other exceptions pass through.
    """
    path = Path(path)
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if (failure := _explain(error, path, temporary)) is not None:
            raise failure from error
        raise


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Lend a temporary folder beside `path`, which must not be there, and give it that name after a clean end."""
    path = Path(path)
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if (failure := _explain(error, path, temporary)) is not None:
            raise failure from error
        raise


@contextmanager
def growing(path: str | Path, *, key: str) -> Iterator[BinaryIO]:
    """Lend a file that is written bit by bit and becomes `path` at a clean end; a process that ends early leaves it.

    The next one with the same `key` finds it again, with all that it holds, and is placed at its beginning. RunError
    as for `write_atomically`, and where another process is writing it now.
    """
    path = Path(path)
    temporary = path.with_name(f"{_PREFIX}{key}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("a+b") as stream:
            if not try_lock(stream.fileno()):
                raise RunError(f"{path} is being written by another overread. Wait for it, or choose another --out.")
            stream.seek(0)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
            flush_folder(path.parent)
    except OSError as error:
        if (failure := _explain(error, path, temporary)) is not None:
            raise failure from error
        raise


def try_lock(handle: int) -> bool:
    """Hold an open file against other processes until it is closed; False where one of them holds it."""
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_leftovers(folder: str | Path) -> None:
    """Remove the temporary files that a killed process left in `folder` (not in its sub-folders)."""
    for leftover in Path(folder).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            leftover.unlink()


def is_full(fault: OSError) -> bool:
    """Whether there was no room: on the disk, in a quota, or for so large a file."""
    return fault.errno in _FULL


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; Windows has no handle on a folder."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: BaseException, path: Path, temporary: Path) -> RunError | None:
    """The RunError that tells of a failed write; None for an error that is not one."""
    # safetensors, torch and onnx raise their own kinds of error with the system's words in them.
    number = re.search(r"os error (\d+)", str(error))
    full = "No space left" in str(error) or (number is not None and int(number[1]) in _FULL)
    if full or (isinstance(error, OSError) and error.errno in _FULL):
        return RunError(
            f"The disk is full: {path} could not be written ({_free(path)} free). "
            "What was there before is unharmed. Free some space, then run the same again."
        )
    ours = {str(path), str(temporary), str(path.parent), "None"}
    if not isinstance(error, OSError) or str(error.filename) not in ours:
        return None
    if error.errno in _FORBIDDEN:
        return RunError(
            f"{path} may not be written: {error.strerror}. Choose another folder, or change its permissions."
        )
    return RunError(f"{path} could not be written: {error.strerror or error}. Choose another folder.")


def _free(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free / 1e6:.0f} MB"
    except OSError:
        return "unknown space"
