"""Libraries neither speak nor throw while a file is read."""

from __future__ import annotations

import threading
import warnings

import pytest

from overread.data.guard import guarded
from overread.errors import ImageError


def test_whatever_a_library_raises_becomes_one_line(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(ImageError) as failure, guarded(path):
        raise RuntimeError(f"first line about {path}\nsecond line.")
    assert failure.value.kind == "unreadable"
    assert str(failure.value) == (
        "a.png cannot be decoded (first line about a.png second line). Export it again, or leave it out."
    )


@pytest.mark.parametrize("error", [EOFError(), OSError("image file is truncated (3 bytes)")])
def test_early_ends_are_told(tmp_path, error):
    with pytest.raises(ImageError) as failure, guarded(tmp_path / "a.png"):
        raise error
    assert failure.value.kind == "truncated"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_some_things_are_not_the_files_fault(tmp_path, error):
    with pytest.raises(error), guarded(tmp_path / "a.png"):
        raise error


def test_a_file_that_may_not_be_read_is_told_as_such(tmp_path):
    with (
        pytest.raises(ImageError, match=r"a\.png may not be read\. Check its permissions"),
        guarded(tmp_path / "a.png"),
    ):
        raise PermissionError(13, "Permission denied")


def test_warnings_are_silenced_and_come_back(tmp_path):
    with guarded(tmp_path), guarded(tmp_path):
        warnings.warn("a value is too long", stacklevel=1)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_threads_that_overlap_leave_the_filters_as_they_were(tmp_path):
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def read() -> None:
        with guarded(tmp_path):
            inside.set()
            leave.wait(5)

    with guarded(tmp_path):
        thread = threading.Thread(target=read)
        thread.start()
        inside.wait(5)
    leave.set()
    thread.join()
    assert warnings.filters == before
