"""An answer in several parts (multipart/related, RFC 2387), as DICOMweb has it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from fastapi.responses import StreamingResponse

from overread.serve.web.accept import MULTIPART


def in_parts(kind: str, parts: Iterable[tuple[str, Iterable[bytes]]]) -> StreamingResponse:
    """Parts of one kind, each with its Content-Type and its content in pieces, sent as they are made."""
    boundary = secrets.token_hex(16)
    return StreamingResponse(_lines(parts, boundary), media_type=f'{MULTIPART}; type="{kind}"; boundary={boundary}')


def _lines(parts: Iterable[tuple[str, Iterable[bytes]]], boundary: str) -> Iterator[bytes]:
    for told, content in parts:
        yield f"--{boundary}\r\nContent-Type: {told}\r\n\r\n".encode()
        yield from content
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
