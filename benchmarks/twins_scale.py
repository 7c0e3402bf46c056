"""How long it takes to find images that show the same, with how much memory: 1,000 to 100,000 images.

Images are made: one anatomy that all share, with fine structure of its own for each. One in fifty is a copy of
another, brighter, noisier, mirrored or turned. Time counts from prepared images to pairs; decoding comes on top. Each
size runs in a process of its own, so that its memory is its own.

    python benchmarks/twins_scale.py
    python benchmarks/twins_scale.py --sizes 1000 10000
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.audit.nearby import put
from overread.audit.twins import find_twins
from overread.audit.views import take_views
from overread.run.job import machine

SIDE, WAVES, COPIES = 64, 24, 50
AT_ONCE = 1000


def make(path: Path, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Write (n, SIDE, SIDE, 3) uint8, and return (copies, 2): which image each copy is of."""
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, SIDE, SIDE, 3))
    at = np.arange(SIDE) + 0.5
    cosines = np.cos(np.pi * np.arange(WAVES)[:, None] * at / SIDE)
    steep = 1 / (1 + np.hypot(*np.mgrid[:WAVES, :WAVES]))
    shared = rng.normal(size=(WAVES, WAVES)) * steep**1.5
    for start in range(0, n, AT_ONCE):
        own = rng.normal(size=(min(AT_ONCE, n - start), WAVES, WAVES)) * steep
        target[start : start + len(own)] = grey(cosines.T @ (shared + own) @ cosines)[..., None]
    places = rng.permutation(n)[: 2 * (n // COPIES)].reshape(-1, 2)
    for original, copy in places:
        image = put(target[original, ..., 0], int(rng.integers(8))).astype(np.float64)
        changed = image * rng.uniform(0.7, 1) + rng.uniform(0, 30) + rng.normal(0, 2, image.shape)
        target[copy] = changed.clip(0, 255).astype(np.uint8)[..., None]
    target.flush()
    return places


def grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return (110 + 30 * values).clip(0, 255).astype(np.uint8)


def measure(n: int, folder: str) -> None:
    path = Path(folder) / f"{n}.npy"
    planted = {tuple(sorted(pair)) for pair in make(path, n, np.random.default_rng(n)).tolist()}
    pixels = np.load(path, mmap_mode="r")
    memory = Memory()
    start = time.perf_counter()
    views = take_views(pixels, n)
    seen = time.perf_counter()
    twins = find_twins(views, lambda at: np.asarray(pixels[at]))
    done = time.perf_counter()
    grown = memory.grown_mb()
    found = set(zip(twins.first.tolist(), twins.second.tolist(), strict=True))
    print(
        f"{n:>8,} images  {done - start:7.1f} s (views {seen - start:.1f}, pairs {done - seen:.1f})  "
        f"{1e6 * (done - start) / n:6.0f} us an image  {grown:6.0f} MB more  "
        f"found {len(found & planted)} of {len(planted)} copies, {len(found - planted)} others",
        flush=True,
    )
    path.unlink()


class Memory:
    """The most memory of its own that this process takes; pages of mapped files do not count."""

    def __init__(self) -> None:
        self.least = self.most = self._now_kb()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def grown_mb(self) -> float:
        """How much it has grown since."""
        self.over.set()
        self.thread.join()
        return (self.most - self.least) / 1024

    def _watch(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, self._now_kb())

    @staticmethod
    def _now_kb() -> int:
        found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
        return int(found[1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for n in args.sizes:
            process = multiprocessing.get_context("spawn").Process(target=measure, args=(n, folder))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
