from __future__ import annotations

import io
import tempfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.errors import ServiceError
from overread.serve.unpacking import Unpacker, is_zip

LIMITS = {"max_files": 10, "max_bytes": 5_000_000, "max_file_bytes": 3_000_000}


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _all(path: Path, to: Path) -> dict[str, bytes]:
    unpacker = Unpacker(path, name=path.name, **LIMITS)
    found = {}
    for number, (name, member) in enumerate(unpacker.names()):
        unpacker.unpack(member, to / str(number))
        found[name] = (to / str(number)).read_bytes()
    unpacker.close()
    return found


def test_files_come_out_under_no_path_of_theirs(tmp_path: Path) -> None:
    files = {"../../up.dcm": b"1", "/etc/root.dcm": b"2", "a/b.dcm": b"3", ".hidden": b"4", "__MACOSX/x": b"5"}
    found = _all(_zip(tmp_path / "a.zip", files), tmp_path)
    assert found == {"a.zip: up.dcm": b"1", "a.zip: root.dcm": b"2", "a.zip: b.dcm": b"3"}


def test_a_bomb_is_stopped_while_it_goes_off(tmp_path: Path) -> None:
    one = _zip(tmp_path / "one.zip", {"a": b"\0" * 4_000_000})
    with pytest.raises(ServiceError, match=r"^one\.zip: a unpacks to more than 3 MB"):
        _all(one, tmp_path)
    many = _zip(tmp_path / "many.zip", {str(n): b"\0" * 2_500_000 for n in range(4)})
    with pytest.raises(ServiceError, match="bomb"):
        _all(many, tmp_path)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000_000 + 2**20


def test_too_many_files_are_refused_before_any_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {str(n): b"" for n in range(11)})
    with pytest.raises(ServiceError, match="at most 10"):
        Unpacker(path, name="a.zip", **LIMITS)


def test_what_is_damaged_is_told(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 100})
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(ServiceError, match=r"^a\.zip: a cannot be unpacked"):
        _all(path, tmp_path)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 nothing")
    assert is_zip(tmp_path / "b.zip")
    with pytest.raises(ServiceError, match="no zip archive"):
        _all(tmp_path / "b.zip", tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_piece_by_piece_is_refused(tmp_path: Path, method: int) -> None:
    """Python unpacks what is read of these in one go: a hundred bytes become a million."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.dcm", b"\0" * 200_000_000)
    assert (tmp_path / "a.zip").stat().st_size < 50_000
    tracemalloc.start()
    with pytest.raises(ServiceError, match=r"^a\.zip: a\.dcm is packed in a way"):
        _all(tmp_path / "a.zip", tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_list_of_contents_without_end_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(60_000):
            archive.writestr(f"{number:0200}", b"")
    tracemalloc.start()
    assert is_zip(tmp_path / "a.zip")
    with pytest.raises(ServiceError, match="at most 10"):
        Unpacker(tmp_path / "a.zip", name="a.zip", **LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_spoilt_archive_is_refused_or_read(spoils: list[tuple[float, int]]) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../a.dcm", bytes(range(256)) * 4)
        archive.writestr("b/c.png", b"\x89PNG")
    content = bytearray(stream.getvalue())
    for place, value in spoils:
        content[int(place * len(content))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = _written(Path(folder) / "a.zip", bytes(content))
        is_zip(path)
        with suppress(ServiceError):
            _all(path, Path(folder))


@pytest.mark.parametrize("files", [{}, {"folder/": b"", ".hidden": b"1"}])
def test_an_archive_without_files_is_one_all_the_same(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = _zip(tmp_path / "a.zip", files)
    assert is_zip(path)
    with pytest.raises(ServiceError, match=r"^a\.zip holds no files"):
        _all(path, tmp_path)


def test_arrays_of_numpy_are_no_archive(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert not is_zip(tmp_path / "a.npz")
    assert not is_zip(_written(tmp_path / "b.dcm", b"DICM"))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
