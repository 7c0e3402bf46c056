from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import Request

from overread.errors import ServiceError
from overread.serve.archive import Archive
from overread.serve.web.parts import parts_of

_FORM = "multipart/form-data; boundary=x"
_RELATED = 'multipart/related; type="application/dicom"; boundary=x'


def _part(name: str, content: bytes, head: bytes = b"") -> bytes:
    return b"--x\r\nContent-Disposition: form-data; " + name.encode() + b"\r\n" + head + b"\r\n" + content + b"\r\n"


def _read(
    folder: Path,
    body: bytes,
    *,
    content_type: str = _FORM,
    piece: int = 1000,
    max_files: int = 10,
    max_file_bytes: int | None = None,
) -> list[tuple[str, bytes]]:
    """Names and contents of the files of a body that comes in pieces; nothing of them is left afterwards."""

    async def receive() -> AsyncIterator[dict[str, object]]:
        for start in range(0, len(body), piece):
            yield {"type": "http.request", "body": body[start : start + piece], "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    messages = receive()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode())]}
    request = Request(scope, lambda: anext(messages))
    archive = Archive(folder)
    kind = "form-data" if "form-data" in content_type else "related"

    async def read() -> list[tuple[str, bytes]]:
        with ExitStack() as stack:
            parts = await parts_of(
                request, archive, stack, kind=kind, max_files=max_files, max_file_bytes=max_file_bytes
            )
            assert parts.n_held <= (1 << 20) + piece
            return [(file.name, file.path.read_bytes()) for file in parts.write()]

    try:
        return asyncio.run(read())
    finally:
        assert list(archive.incoming.iterdir()) == []
        archive.close()


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_files_come_whole_however_they_are_cut(tmp_path: Path, piece: int) -> None:
    body = _part('name="files"; filename="a.dcm"', b"\r\n--y\r\n" * 40) + _part('name="files"; filename="b"', b"")
    body += _part('name="note"', b"no file") + _part('name="other"; filename="c"', b"of another field") + b"--x--\r\n"
    assert _read(tmp_path, body, piece=piece) == [("a.dcm", b"\r\n--y\r\n" * 40), ("b", b"")]


def test_large_files_are_not_held_in_memory(tmp_path: Path) -> None:
    contents = [bytes([number]) * 2_500_000 for number in range(3)]
    body = b"".join(_part(f'name="files"; filename="{n}"', content) for n, content in enumerate(contents))
    found = _read(tmp_path, body + b"--x--\r\n", piece=65536)
    assert [hashlib.sha256(content).digest() for _, content in found] == [
        hashlib.sha256(content).digest() for content in contents
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        (r'filename="C:\images\head.dcm"', "head.dcm"),
        ('filename=""', "file 1"),
        ('filename="Sch\u00e4del.dcm"', "Sch\u00e4del.dcm"),
        (f'filename="{"n" * 999}"', "n" * 255),
        ("filename*=UTF-8''Sch%C3%A4del.dcm", "Sch\u00e4del.dcm"),
        ("filename*=iso-8859-1'de'Sch%E4del.dcm", "Sch\u00e4del.dcm"),
        ("filename*=utf-8''..%2F..%2Fetc%2Fpasswd; x=1", "passwd"),
        ("filename=\"plain\"; filename*=UTF-8''other", "plain"),
    ],
)
def test_names_are_names_alone(tmp_path: Path, given: str, name: str) -> None:
    assert _read(tmp_path, _part(f'name="files"; {given}', b"1") + b"--x--\r\n") == [(name, b"1")]


def test_objects_of_a_store_need_no_names(tmp_path: Path) -> None:
    body = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n%d\r\n" % number for number in range(3))
    found = _read(tmp_path, body + b"--x--\r\n", content_type=_RELATED)
    assert found == [("file 1", b"0"), ("file 2", b"1"), ("file 3", b"2")]


@pytest.mark.parametrize("n_cut", [1, 6, 9])
def test_a_body_that_is_cut_off_is_refused(tmp_path: Path, n_cut: int) -> None:
    body = _part('name="files"; filename="a"', b"12345") + b"--x--"
    with pytest.raises(ServiceError, match="ends before"):
        _read(tmp_path, body[:-n_cut])


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_of_a_file_that_is_too_large_one_byte_too_many_is_kept(tmp_path: Path, piece: int) -> None:
    contents = (b"12345678", b"123456789", b"1234567890", b"1")
    body = b"".join(_part(f'name="files"; filename="{len(content)}"', content) for content in contents)
    found = _read(tmp_path, body + b"--x--\r\n", max_file_bytes=8, piece=piece)
    assert found == [("8", b"12345678"), ("9", b"123456789"), ("10", b"123456789"), ("1", b"1")]


@pytest.mark.parametrize(
    ("body", "boundary", "why"),
    [
        (b"no boundary", "x", "it does not begin with the boundary that Content-Type names"),
        (b"--y\r\n", "x", "it does not begin with the boundary that Content-Type names"),
        (b"--x\r\nA b: c\r\n\r\n", "x", "one of its parts is damaged"),
        (b"--x\r\n" + b"A: b\r\n" * 1000, "x", "one of its parts is damaged, or its head too long"),
        (b"--x\r\n", "x" * 300, "its boundary is longer than 256 characters"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_words(tmp_path: Path, body: bytes, boundary: str, why: str) -> None:
    with pytest.raises(ServiceError, match=why) as fault:
        _read(tmp_path, body, content_type=f"multipart/form-data; boundary={boundary}")
    assert not any(word in str(fault.value) for word in ("index", "character ", "at 0"))


_ONE = _part('name="files"; filename="a"', b"12345")


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "status"),
    [
        ([_part('name="files"', b"5")], _FORM, "empty", 400),
        ([_part("name=files; filename*=rot13''anzr", b"5")], _FORM, "empty", 400),
        ([_ONE] * 11, _FORM, "too-many", 413),
        ([_part('name="files"; filename="b"', b"1", head=b"X: " + b"y" * 20_000 + b"\r\n")], _FORM, "body", 400),
        ([b"--y\r\n"], _FORM, "body", 400),
        ([_ONE], "multipart/form-data", "content-type", 415),
        ([_ONE], "application/x-www-form-urlencoded", "content-type", 415),
        ([_ONE], "multipart/related; type=image/png; boundary=x", "content-type", 415),
    ],
)
def test_other_bodies_are_refused(
    tmp_path: Path, body: Sequence[bytes], content_type: str, kind: str, status: int
) -> None:
    with pytest.raises(ServiceError) as fault:
        _read(tmp_path, b"".join(body) + b"--x--\r\n", content_type=content_type)
    assert (fault.value.kind, fault.value.status) == (kind, status)
