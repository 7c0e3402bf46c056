"""How fast image files become what a network takes, beside what decoding and scaling alone would do. No torch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from overread.data.decode import Decoded, File, decode_files
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.run.limits import Rates, between_stamps, repeat
from overread.settings import ImageSettings

PHANTOM_PX = 512
"""rows and columns of a slice, as CT has them"""
ROWS = 64
"""places that prepared images are written to, again and again: a file of 10 MB, whatever is read"""
FEWEST, MOST = 48, 50_000
"""images of one measurement"""

Progress = Callable[[int, int], None]


def write_phantoms(folder: Path) -> list[Path]:
    """Write twelve synthetic CT slices as DICOM, not compressed, and return their paths."""
    make_phantoms(folder, PhantomSettings(patients=3, slices=4, size_px=PHANTOM_PX), workers=0)
    return sorted((folder / "images").rglob("*.dcm"))


def alone_rates(paths: Sequence[Path], *, size_px: int, seconds: float) -> Rates:
    """Images a second of the least that any reader does, on one core: pydicom's decoding and Pillow's scaling."""

    def work() -> None:
        for path in paths:
            pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)
            Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BILINEAR)

    return repeat(work, amount=len(paths), seconds=seconds)


def reading_rates(
    paths: Sequence[Path], settings: ImageSettings, *, workers: int, n_images: int, folder: Path, progress: Progress
) -> Rates:
    """Images a second that training reads: checked, decoded, windowed, scaled, measured and written down.

    workers: processes; below 2 it is this one. The first quarter starts them, and does not count.
    """
    n_images = min(max(n_images, FEWEST), MOST)
    target = folder / "prepared.npy"
    np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(ROWS, settings.size_px, settings.size_px, 3))
    files = [
        File(name=path.name, path=path, frames=(0,), rows=(number % ROWS,))
        for number, path in enumerate(itertools.islice(itertools.cycle(paths), n_images))
    ]
    stamps: list[float] = []

    def report(_: Decoded) -> None:
        stamps.append(time.perf_counter())
        progress(len(stamps), n_images)

    decode_files(files, target, settings, workers=workers, report=report)
    return between_stamps(stamps[n_images // 4 :])
