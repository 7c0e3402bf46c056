"""A request's files, brought into the archive's incoming folder."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager

from fastapi import Request
from starlette.datastructures import UploadFile

from overread.errors import ServiceError
from overread.serve.archive import Archive
from overread.serve.intake import Arrived

_NAME = 255


@asynccontextmanager
async def files_of(request: Request, *, max_files: int) -> AsyncIterator[list[UploadFile]]:
    """The files of a form. Raises ServiceError where there are none."""
    try:
        form = await request.form(max_files=max_files, max_fields=8, max_part_size=1 << 20)
    except UnicodeError as fault:  # the sender chooses the character set, among all that Python knows
        raise ServiceError("The form is in a character set that cannot be read. Take UTF-8.", kind="body") from fault
    try:
        files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
        if not files:
            raise ServiceError("No files came. Send them as multipart/form-data, in the field files.", kind="empty")
        yield files
    finally:
        await form.close()


@contextmanager
def arrived(files: Sequence[UploadFile], archive: Archive) -> Iterator[list[Arrived]]:
    """Lend the files where the intake takes them from; what it leaves is removed."""
    with ExitStack() as stack:
        found = []
        for number, file in enumerate(files, start=1):
            path = stack.enter_context(archive.receiving())
            with path.open("wb") as to:
                shutil.copyfileobj(file.file, to, 1 << 20)
            name = (file.filename or f"file {number}").replace("\\", "/").rsplit("/", 1)[-1]
            # some character sets of Python's make halves of characters, which are no text
            name = name[:_NAME].encode("utf-8", "replace").decode("utf-8")
            found.append(Arrived(path=path, name=name))
        yield found
