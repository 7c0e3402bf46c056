"""A request's files, brought into the archive's incoming folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from starlette.datastructures import UploadFile

from overread.serve.archive import Archive
from overread.serve.intake import Arrived

_NAME = 255


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
            found.append(Arrived(path=path, name=name[:_NAME]))
        yield found
