from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from overread import disk
from overread.errors import RunError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_arrive_whole_and_leave_nothing_beside_them(tmp_path):
    disk.write_atomically(tmp_path / "a.txt", "é\r\nb\n")
    disk.write_atomically(tmp_path / "deep" / "er" / "b.bin", b"\x00\x01")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\r\nb\n"
    assert (tmp_path / "deep/er/b.bin").read_bytes() == b"\x00\x01"
    assert names(tmp_path) == ["a.txt", "deep"]


def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), disk.replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert names(tmp_path) == ["weights.safetensors"]


def test_an_interrupt_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), disk.replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


def test_the_temporary_is_in_the_same_folder_and_keeps_the_ending(tmp_path):
    with disk.replacing(tmp_path / "figure.svg") as temporary:
        temporary.write_text("<svg/>")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".svg"
        assert not (tmp_path / "figure.svg").exists()
    assert names(tmp_path) == ["figure.svg"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_in_plain_words(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(RunError, match=r"disk is full: .*a\.bin .* MB free"), disk.replacing(path):
        Path("/dev/full").write_bytes(b"x" * 100_000)
    assert path.read_bytes() == b"old"


def test_a_full_disk_found_only_at_the_flush_is_told(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(RunError, match="disk is full"):
        disk.write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == []


def test_another_library_s_word_for_a_full_disk_is_understood(tmp_path):
    with pytest.raises(RunError, match="disk is full"), disk.replacing(tmp_path / "a"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def forbidden(self: Path, data: bytes) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "write_bytes", forbidden)  # a test that runs as root may write anywhere
    with pytest.raises(RunError, match="may not be written"):
        disk.write_atomically(tmp_path / "a.txt", "new")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="could not be written"):
        disk.write_atomically(tmp_path / "file" / "a.txt", "new")


def test_an_unrelated_missing_file_is_not_blamed_on_the_target(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), disk.replacing(tmp_path / "a"):
        (tmp_path / "elsewhere").read_text()


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".part-0a1b2c3d-model.json").write_text("half")
    (tmp_path / ".gitignore").write_text("*")
    (tmp_path / "model.json").write_text("{}")
    disk.remove_leftovers(tmp_path)
    assert names(tmp_path) == [".gitignore", "model.json"]


def test_a_growing_file_appears_when_it_is_whole_and_is_found_again_until_then(tmp_path):
    path = tmp_path / "made" / "table.csv"

    def write_half() -> None:
        with disk.growing(path, key="k") as stream:
            stream.write(b"first\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert not path.exists()
    with disk.growing(path, key="other") as stream:
        assert stream.read() == b""
    path.unlink()
    with disk.growing(path, key="k") as stream:
        assert stream.read() == b"first\n"
        stream.write(b"second\n")
        with pytest.raises(RunError, match="is being written by another overread"), disk.growing(path, key="k"):
            pass
    assert path.read_bytes() == b"first\nsecond\n"
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("knows_links", [True, False])
def test_a_file_that_is_written_once_is_its_owners_alone(tmp_path, monkeypatch, knows_links):
    """Also on a disk that knows no second name of a file: FAT, and some shares."""

    def link(*paths):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not knows_links:
        monkeypatch.setattr(disk.os, "link", link)
    path = tmp_path / "site.key"
    assert disk.write_once(path, "first\n")
    assert not disk.write_once(path, "second\n")
    assert path.read_text() == "first\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["site.key"]
