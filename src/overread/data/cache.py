"""Every image decoded once, into one memory-mapped array that a second run finds again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.data.alike import Fingerprints
from overread.data.decode import Decoded, File, decode_files
from overread.data.measures import NAMES, Measures
from overread.data.rows import Cohort, Problem
from overread.disk import remove_leftovers, replacing, write_atomically
from overread.errors import RunError
from overread.settings import ImageSettings

_PIXELS, _FINGERPRINTS, _MEASURES, _KEY = "pixels.npy", "fingerprints.npy", "measures.npy", "cache.json"
_VERSION = 4
"""of what is written and of how pixels are prepared and measured: another number makes old caches void"""
_SPARE_BYTES = 64 * 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The prepared images of a cohort, a row an image.

    pixels: (n, size_px, size_px, 3) uint8, memory-mapped, read only. fingerprints: (n, 4) uint64, see
    `alike.fingerprint`. measures: (n, k) float32, see `measures.NAMES`. Rows that could not be read are zeros in
    all three, have their reason in `problems`, and are not in `good`: (m,) int64, the places of the others.
    """

    pixels: NDArray[np.uint8]
    fingerprints: Fingerprints
    measures: Measures
    good: NDArray[np.int64]
    problems: tuple[Problem, ...]


def build_cache(
    cohort: Cohort,
    settings: ImageSettings,
    *,
    folder: str | Path,
    workers: int = 0,
    progress: Progress | None = None,
) -> Cache:
    """Decode and prepare every image of a cohort, each file once, or find that done in `folder` already.

    The result does not depend on `workers`, the number of processes (below 2: this one). What is found is used
    if it was made of the same rows, of files with the same sizes and times, with the same settings.
    `progress(done, total)` counts images. Raises RunError where the disk is full or a worker is killed.
    """
    folder = Path(folder)
    key = _key(cohort, settings)
    if (found := _load(folder, key, len(cohort))) is not None:
        if progress is not None:
            progress(len(cohort), len(cohort))
        return found
    _make_room(folder, len(cohort), settings.size_px)
    filled = _Filled(len(cohort), progress)
    with replacing(folder / _PIXELS) as temporary:
        _allocate(temporary, (len(cohort), settings.size_px, settings.size_px, 3))
        decode_files(_files(cohort), temporary, settings, workers=workers, report=filled.add)
    with replacing(folder / _FINGERPRINTS) as temporary:
        np.save(temporary, filled.fingerprints)
    with replacing(folder / _MEASURES) as temporary:
        np.save(temporary, filled.measures)
    problems = [[row, *dataclasses.astuple(problem)] for row, problem in sorted(filled.problems.items())]
    content = {"key": key, "bad": np.flatnonzero(~filled.is_good).tolist(), "problems": problems}
    write_atomically(folder / _KEY, json.dumps(content))
    made = _load(folder, key, len(cohort))
    if made is None:
        raise RunError(f"The prepared images in {folder} cannot be read back. Check the disk, or choose another.")
    return made


class _Filled:
    """What has come back from decoding, by row, so that no order shows in the result."""

    def __init__(self, n: int, progress: Progress | None) -> None:
        self.fingerprints: Fingerprints = np.zeros((n, 4), np.uint64)
        self.measures: Measures = np.zeros((n, len(NAMES)), np.float32)
        self.is_good = np.zeros(n, dtype=bool)
        self.problems: dict[int, Problem] = {}
        self._done, self._total, self._progress = 0, n, progress

    def add(self, decoded: Decoded) -> None:
        """Take the result of a frame, or of all frames of a file that cannot be opened."""
        rows = list(decoded.rows)
        if decoded.problem is not None:
            self.problems[rows[0]] = decoded.problem
        elif decoded.fingerprint is not None and decoded.measures is not None:
            self.is_good[rows] = True
            self.fingerprints[rows] = decoded.fingerprint
            self.measures[rows] = decoded.measures
        self._done += len(rows)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _files(cohort: Cohort) -> list[File]:
    """The files of a cohort, each with all of its rows."""
    rows: dict[str, list[int]] = {}
    for place, row in enumerate(cohort.rows):
        rows.setdefault(row.path, []).append(place)
    return [
        File(
            name=path,
            path=cohort.root / path,
            frames=tuple(cohort.rows[place].frame for place in places),
            rows=tuple(places),
        )
        for path, places in rows.items()
    ]


def _key(cohort: Cohort, settings: ImageSettings) -> str:
    """A hash of all that the pixels depend on: rows, the files' sizes and times, settings."""
    digest = hashlib.sha256(json.dumps([_VERSION, dataclasses.asdict(settings)], sort_keys=True).encode())
    stamps: dict[str, str] = {}
    for row in cohort.rows:
        if row.path not in stamps:
            stamps[row.path] = _stamp(cohort.root / row.path)
        digest.update(f"{row.path}\0{row.frame}\0{stamps[row.path]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


def _load(folder: Path, key: str, n: int) -> Cache | None:
    """What `folder` holds, if it was made for `key` and is whole."""
    try:
        content: dict[str, Any] = json.loads((folder / _KEY).read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        pixels = np.load(folder / _PIXELS, mmap_mode="r")
        fingerprints = np.load(folder / _FINGERPRINTS)
        measures = np.load(folder / _MEASURES)
        problems = tuple(Problem(path=path, kind=kind, message=why) for _, path, kind, why in content["problems"])
        good = np.setdiff1d(np.arange(n, dtype=np.int64), np.array(content["bad"], dtype=np.int64))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    if len(pixels) != n or fingerprints.shape != (n, 4) or measures.shape != (n, len(NAMES)):
        return None
    return Cache(pixels=pixels, fingerprints=fingerprints, measures=measures, good=good, problems=problems)


def _make_room(folder: Path, n: int, size_px: int) -> None:
    """Remove what an older or a killed run left, and make sure that the images will fit."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} may not be written: {error.strerror}. Choose another folder.") from None
    remove_leftovers(folder)
    for name in (_KEY, _PIXELS, _FINGERPRINTS, _MEASURES):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
    needed, free = n * size_px**2 * 3, shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise RunError(
            f"The disk is too full: {n} prepared images need {needed / 1e9:.2f} GB in {folder}, and {free / 1e9:.2f} "
            "GB are free. Free some space, or use a smaller --size-px."
        )


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """Make an .npy file of zeros in its full length, with its blocks taken on the disk.

    Without that a disk that fills up ends the process by a signal when a mapped page is written.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    array.flush()
    del array
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
