"""Bodies in several parts: each becomes a file of the archive's incoming folder, as it comes and within bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, MultipartParser, parse_options_header

from overread.errors import ServiceError
from overread.serve.archive import Archive
from overread.serve.intake import Arrived

_NAME = 255
_HEAD_BYTES = 16_384
"""of one part, which no sender needs"""
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s\"]+)", re.IGNORECASE)
"""a file's name as RFC 5987 has it, in the two character sets that it asks for"""
_IN_MEMORY_BYTES = 1 << 20
"""of one body, before they are written: small bodies are written by the thread that takes them in"""


async def parts_of(
    request: Request,
    archive: Archive,
    stack: ExitStack,
    *,
    kind: str,
    max_files: int,
    max_file_bytes: int | None = None,
) -> Parts:
    """The parts of a body, in the archive's incoming folder until `stack` is closed.

    kind: form-data, of which the parts named `files` that have a file name are taken, or related, of which all are.
    max_file_bytes: of a larger file one byte more is kept, by which the intake knows that it is too large. Raises
    ServiceError for another kind of body, one that is damaged or holds no files, and for too many of them.
    """
    parts = Parts(archive, stack, is_form=kind == "form-data", max_files=max_files, max_file_bytes=max_file_bytes)
    try:
        parser = MultipartParser(_boundary_of(request.headers.get("content-type", ""), kind), parts.callbacks)
        async for piece in request.stream():
            parser.write(piece)
            if parts.n_held > _IN_MEMORY_BYTES:
                await run_in_threadpool(parts.write)
        parser.finalize()
    except FormParserError as fault:
        why = _why_damaged(fault, parts)
        raise ServiceError(
            f"The body is no multipart/{kind}: {why}. Send each file as a part.", kind="body"
        ) from fault
    if not parts.is_whole:
        raise ServiceError("The body ends before its last part does. Send it again.", kind="body")
    if not parts.arrived:
        where = ", in the field files" if kind == "form-data" else ""
        raise ServiceError(f"No files came. Send them as multipart/{kind}{where}.", kind="empty")
    return parts


class Parts:
    """Files that a body holds. `write` puts on the disk what is held in memory; it is for a thread that may wait."""

    def __init__(
        self, archive: Archive, stack: ExitStack, *, is_form: bool, max_files: int, max_file_bytes: int | None
    ) -> None:
        self._archive, self._stack, self._is_form = archive, stack, is_form
        self._max_files, self._max_file_bytes = max_files, max_file_bytes
        self.arrived: list[Arrived] = []
        self.has_begun = self.is_whole = False
        """whether a first part, and the body's end, have come"""
        self.n_held = 0
        """bytes in memory"""
        self._held: list[tuple[Path, list[bytes]]] = []
        self._head: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._n_head = self._n_bytes = 0
        self._is_taken = False
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_head,
            "on_part_data": self._add,
            "on_end": self._end,
        }

    def write(self) -> Sequence[Arrived]:
        """Write what is in memory, and return the files that have come, which are whole at the body's end."""
        held, self._held, self.n_held = self._held, [], 0
        for path, pieces in held:
            with path.open("ab", buffering=0) as file:
                for piece in pieces:
                    file.write(piece)
        return self.arrived

    def _end(self) -> None:
        self.is_whole = True

    def _begin(self) -> None:
        self.has_begun = True
        self._disposition, self._n_head, self._n_bytes = b"", 0, 0

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._add_to_head(0, data, start, end)

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._add_to_head(1, data, start, end)

    def _add_to_head(self, which: int, data: bytes, start: int, end: int) -> None:
        self._n_head += end - start
        if self._n_head > _HEAD_BYTES:
            raise ServiceError("The head of a part is too long.", kind="body")
        self._head[which].extend(data[start:end])

    def _end_header(self) -> None:
        name, value = self._head
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def _end_head(self) -> None:
        name = self._file_name()
        self._is_taken = name is not None
        if name is None:
            return
        if len(self.arrived) == self._max_files:
            raise ServiceError(
                f"More than {self._max_files:,} files came at once. Divide them.", kind="too-many", status=413
            )
        path = self._stack.enter_context(self._archive.receiving())
        self.arrived.append(Arrived(path=path, name=name or f"file {len(self.arrived) + 1}"))
        self._held.append((path, []))

    def _file_name(self) -> str | None:
        """What its sender calls the part's file; None where the part is none that is taken."""
        if not self._is_form:
            return ""
        _, options = parse_options_header(self._disposition)
        extended = _EXTENDED.search(self._disposition)
        if options.get(b"name") != b"files" or (b"filename" not in options and extended is None):
            return None
        if b"filename" in options or extended is None:
            name = options[b"filename"].decode("utf-8", "replace")
        else:
            name = unquote(extended[2].decode("ascii", "replace"), encoding=extended[1].decode(), errors="replace")
        return name.replace("\\", "/").rsplit("/", 1)[-1][:_NAME]

    def _add(self, data: bytes, start: int, end: int) -> None:
        if not self._is_taken:
            return
        if self._max_file_bytes is not None:
            end = min(end, start + self._max_file_bytes + 1 - self._n_bytes)
            if end <= start:
                return
        self._n_bytes += end - start
        path = self.arrived[-1].path
        if not self._held or self._held[-1][0] != path:
            self._held.append((path, []))
        self._held[-1][1].append(data[start:end])
        self.n_held += end - start


def _why_damaged(fault: FormParserError, parts: Parts) -> str:
    """What is wrong with a body, in words of those who send it."""
    if not isinstance(fault, MultipartParseError):
        return f"its boundary is longer than {MAX_BOUNDARY_LENGTH} characters"
    if not parts.has_begun:
        return "it does not begin with the boundary that Content-Type names"
    return "one of its parts is damaged, or its head too long"


def _boundary_of(content_type: str, kind: str) -> bytes:
    """What stands between the parts, of a Content-Type. Raises ServiceError where it is another than is wanted."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    is_dicom = kind != "related" or message.get_param("type", "application/dicom") == "application/dicom"
    if message.get_content_type() != f"multipart/{kind}" or not boundary or not is_dicom:
        wanted = '; type="application/dicom"' if kind == "related" else ""
        raise ServiceError(
            f"Content-Type must be multipart/{kind}{wanted}; boundary=...", kind="content-type", status=415
        )
    return boundary.encode("ascii", "replace")
