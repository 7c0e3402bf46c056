"""Every frame of many files, prepared, in order, read by several threads a little ahead of who takes them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.data.image import Image, prepare, read_frames
from overread.errors import ImageError
from overread.settings import ImageSettings

PIECE = 8
"""frames of one file that are read in one go: of a long volume the next ones are read while these are worked on"""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame as the network takes it, or what is wrong with it."""

    path: str
    number: int
    found: NDArray[np.uint8] | ImageError
    """(size, size, 3) uint8, or why there is none"""


def stream_frames(
    paths: Iterable[str | Path], settings: ImageSettings, *, pool: ThreadPoolExecutor, ahead: int
) -> Generator[Frame, None, None]:
    """Yield each frame of each file, in order; a bad frame or file hides no other.

    At most `ahead` files are being read or wait to be taken, of each at most `PIECE` frames: memory does not grow
    with their number.
    """
    left = iter(paths)
    waiting: deque[tuple[_File, Future[list[Frame]]]] = deque()
    try:
        while True:
            for path in itertools.islice(left, ahead - len(waiting)):
                file = _File(path, settings)
                waiting.append((file, pool.submit(file.read)))
            if not waiting:
                return
            file, future = waiting.popleft()
            frames = future.result()
            if not file.ended:
                waiting.appendleft((file, pool.submit(file.read)))
            yield from frames
    finally:
        for _, future in waiting:
            future.cancel()


@dataclass
class _File:
    path: str | Path
    settings: ImageSettings
    ended: bool = False
    _frames: Iterator[Image] | None = field(default=None, repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def read(self) -> list[Frame]:
        """The next frames."""
        if self._frames is None:
            try:
                self._frames = read_frames(self.path, brief=True)
            except ImageError as fault:
                self.ended = True
                return [Frame(path=str(self.path), number=0, found=fault)]
        found: list[Frame] = []
        while len(found) < PIECE:
            number = next(self._numbers)
            try:
                pixels: NDArray[np.uint8] | ImageError = prepare(next(self._frames), self.settings)
            except StopIteration:
                self.ended = True
                break
            except ImageError as fault:
                pixels = fault
            found.append(Frame(path=str(self.path), number=number, found=pixels))
        return found
