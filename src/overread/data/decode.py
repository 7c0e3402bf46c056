"""Decode files in processes of their own, each writing the pixels where they belong."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_byte
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.data.alike import Fingerprints, fingerprint
from overread.data.image import prepare, read_frames
from overread.data.measures import Measures, measure
from overread.data.rows import Problem
from overread.errors import ImageError, RunError
from overread.settings import ImageSettings

_FILES_AT_ONCE = 8
_FEW_FILES = 24
_UNDER_WAY, _DONE = 1, 2


@dataclass(frozen=True, kw_only=True)
class File:
    """One file: its path for messages, where it lies, the frames wanted, and the row that each one fills."""

    name: str
    path: Path
    frames: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What came of one frame, or of one file that cannot be opened: the rows that it fills, or a problem."""

    rows: tuple[int, ...]
    problem: Problem | None = None
    fingerprint: Fingerprints | None = None
    measures: Measures | None = None


Pixels = NDArray[np.uint8]
Report = Callable[[Decoded], None]


def decode_files(
    files: Sequence[File], target: Path, settings: ImageSettings, *, workers: int, report: Report
) -> None:
    """Decode every file once, prepare its frames and write them into the array in `target`.

    target: an .npy file of shape (n, size_px, size_px, 3) uint8 that exists in its full length. `report` is
    called for each frame, in any order. Fewer than two workers, or few files, are decoded in this process.
    Raises RunError where a worker is killed, naming the files that it may have been reading.
    """
    if workers < 2 or len(files) < _FEW_FILES:
        pixels = np.load(target, mmap_mode="r+")
        for file in files:
            for decoded in decode_file(file, pixels, settings):
                report(decoded)
        pixels.flush()
        return
    _in_processes(files, target, settings, min(workers, len(files)), report)


def decode_file(file: File, pixels: Pixels, settings: ImageSettings) -> Iterator[Decoded]:
    """Decode the wanted frames of one file into their rows of `pixels`. Raises RunError for a lack of memory."""
    try:
        yield from _decode_frames(file, pixels, settings)
    except MemoryError:
        raise RunError(
            f"{file.name} needs more memory than is free. Close other programs, use fewer --workers, or leave it out."
        ) from None


def _decode_frames(file: File, pixels: Pixels, settings: ImageSettings) -> Iterator[Decoded]:
    try:
        images = read_frames(file.path, file.frames, brief=True)
    except ImageError as error:
        yield Decoded(rows=file.rows, problem=_problem(file, error))
        return
    for row in file.rows:
        try:
            image = next(images)
            square = prepare(image, settings)
        except ImageError as error:
            yield Decoded(rows=(row,), problem=_problem(file, error))
        else:
            pixels[row] = square
            yield Decoded(
                rows=(row,), fingerprint=fingerprint(square), measures=measure(image, square, fit=settings.fit)
            )


def _problem(file: File, error: ImageError) -> Problem:
    return Problem(path=file.name, kind=error.kind, message=str(error))


def _in_processes(files: Sequence[File], target: Path, settings: ImageSettings, workers: int, report: Report) -> None:
    # spawn: a fork would copy the threads' locks of a program that has torch or a progress bar running
    context = multiprocessing.get_context("spawn")
    states = context.RawArray(c_byte, len(files))
    batches = [range(at, min(at + _FILES_AT_ONCE, len(files))) for at in range(0, len(files), _FILES_AT_ONCE)]
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(states, target, settings)
    )
    try:
        waiting: set[Future[list[Decoded]]] = set()
        for batch in batches:
            # a few batches ahead of the workers, and not all: 100,000 files must not fill the queue's memory
            if len(waiting) >= 4 * workers:
                waiting = _collect(waiting, report)
            waiting.add(pool.submit(_decode_batch, batch.start, files[batch.start : batch.stop]))
        while waiting:
            waiting = _collect(waiting, report)
    except BrokenProcessPool:
        raise RunError(_killed(files, states)) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _collect(waiting: set[Future[list[Decoded]]], report: Report) -> set[Future[list[Decoded]]]:
    done, rest = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        for decoded in future.result():
            report(decoded)
    return rest


def _killed(files: Sequence[File], states: Any) -> str:
    suspects = [file.name for file, state in zip(files, states, strict=True) if state == _UNDER_WAY]
    if not suspects:
        return (
            "The processes that decode images did not start, or were killed. In a script of your own, put the call "
            'under if __name__ == "__main__": or pass workers=0; on the command line, use fewer --workers.'
        )
    found = " or ".join(suspects[:4])
    return (
        f"A process that decodes images was killed while it read {found}; the memory may be full, or the file "
        "crashes its decoder. Use fewer --workers, or leave the file out."
    )


class _Worker:
    """What one worker process keeps between batches."""

    states: Any
    pixels: Pixels
    settings: ImageSettings


def _start_worker(states: Any, target: Path, settings: ImageSettings) -> None:
    # Ctrl-C is the parent's to handle; it lets the workers end their batch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _Worker.states, _Worker.settings = states, settings
    _Worker.pixels = np.load(target, mmap_mode="r+")


def _end_with_parent() -> None:
    """Leave when the parent is killed: its workers would wait for their next batch for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait_for([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _decode_batch(start: int, files: Sequence[File]) -> list[Decoded]:
    found: list[Decoded] = []
    for place, file in enumerate(files, start):
        _Worker.states[place] = _UNDER_WAY
        found += decode_file(file, _Worker.pixels, _Worker.settings)
        _Worker.states[place] = _DONE
    return found
