"""Bodies of the kind multipart/related: parts as files, written as they come and within bounds."""

from __future__ import annotations

from contextlib import ExitStack
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from fastapi import Request

from overread.errors import ServiceError
from overread.serve.archive import Archive
from overread.serve.intake import Arrived


async def parts_of(
    request: Request, archive: Archive, stack: ExitStack, *, max_files: int, max_file_bytes: int
) -> list[Arrived]:
    """The parts of a body, in the archive's incoming folder until `stack` is closed. Raises ServiceError."""
    from python_multipart.exceptions import MultipartParseError
    from python_multipart.multipart import MultipartParser

    parts = _Parts(archive, stack, max_files=max_files, max_file_bytes=max_file_bytes)
    parser = MultipartParser(
        boundary_of(request.headers.get("content-type", "")),
        {"on_part_begin": parts.begin, "on_part_data": parts.write, "on_part_end": parts.end},
    )
    try:
        async for piece in request.stream():
            parser.write(piece)
        parser.finalize()
    except MultipartParseError as fault:
        raise ServiceError(
            f"The body is no multipart/related: {fault}. Send each object as a part.", kind="body"
        ) from fault
    finally:
        parts.end()
    if not parts.arrived:
        raise ServiceError("The body holds no parts. Send each object as one.", kind="empty")
    return parts.arrived


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts, of a Content-Type. Raises ServiceError where it is not multipart/related."""
    message = Message()
    message["content-type"] = content_type
    kind, boundary = message.get_content_type(), message.get_boundary()
    wanted = message.get_param("type", "application/dicom")
    if kind != "multipart/related" or not boundary or wanted != "application/dicom":
        raise ServiceError(
            'Content-Type must be multipart/related; type="application/dicom"; boundary=...',
            kind="content-type",
            status=415,
        )
    return boundary.encode("ascii", "replace")


class _Parts:
    def __init__(self, archive: Archive, stack: ExitStack, *, max_files: int, max_file_bytes: int) -> None:
        self.archive, self.stack = archive, stack
        self.max_files, self.max_file_bytes = max_files, max_file_bytes
        self.arrived: list[Arrived] = []
        self._file: BinaryIO | None = None
        self._n_bytes = 0

    def begin(self) -> None:
        if len(self.arrived) == self.max_files:
            raise ServiceError(
                f"More than {self.max_files:,} objects came at once. Divide them.", kind="too-many", status=413
            )
        path: Path = self.stack.enter_context(self.archive.receiving())
        self.arrived.append(Arrived(path=path, name=f"object {len(self.arrived) + 1}"))
        self._file, self._n_bytes = path.open("wb"), 0

    def write(self, data: bytes, start: int, end: int) -> None:
        self._n_bytes += end - start
        if self._n_bytes > self.max_file_bytes:
            raise ServiceError(
                f"An object has more than {self.max_file_bytes / 1e6:.0f} MB, which is the most that is taken.",
                kind="too-large",
                status=413,
            )
        if self._file is not None:
            self._file.write(data[start:end])

    def end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
