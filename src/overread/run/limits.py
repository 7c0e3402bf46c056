"""What a machine can do at most: multiply matrices, and move memory. Works without torch."""

from __future__ import annotations

import itertools
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

BUSY_SHARE = 0.5
"""of the cores at work: from there on others would be in the way"""
GPU = "cuda"
ROUND_S = 0.1
"""the least that a round of work takes"""
WINDOWS = 7
"""stretches that a run of images is cut into, each with its own rate"""
SIDE, SIDE_GPU = 2048, 8192
"""of the matrices that are multiplied: 17 GFLOP a product, and 1,100 on a GPU, so that starting it costs nothing"""
COPIED_BYTES, COPIED_BYTES_GPU = 256 * 2**20, 2**30
"""of each of the two arrays: far more than the caches hold"""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The same work, timed again and again: how much of it was done in a second, each time."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: what the work takes here."""
        return float(np.median(self.values))

    @property
    def low(self) -> float:
        """The slowest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The fastest: what the machine can do when nothing disturbs it."""
        return max(self.values)


def repeat(work: Callable[[], object], *, amount: float, seconds: float, at_least: int = 3) -> Rates:
    """Do the work in rounds for so long, after one that does not count; `amount` is what it does each time.

    What is done at once is done many times a round: the clock, and a moment's disturbance, would say too much.
    """
    began = time.perf_counter()
    work()
    times = math.ceil(ROUND_S / max(time.perf_counter() - began, 1e-6))
    values: list[float] = []
    end = time.perf_counter() + seconds
    while len(values) < at_least or time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(times):
            work()
        values.append(times * amount / (time.perf_counter() - began))
    return Rates(values=tuple(values))


def between_stamps(stamps: Sequence[float], *, images_each: int = 1, windows: int = WINDOWS) -> Rates:
    """The rates of a stream of work, from the times at which each piece of it was done; the first only starts it.

    >>> between_stamps([0, 1, 2, 2.5, 3], images_each=4, windows=2).values
    (4.0, 8.0)
    """
    edges = np.unique(np.linspace(0, len(stamps) - 1, min(windows, len(stamps) - 1) + 1).round().astype(int))
    return Rates(
        values=tuple(
            images_each * int(to - at) / max(stamps[to] - stamps[at], 1e-9) for at, to in itertools.pairwise(edges)
        )
    )


def matrix_rates(*, seconds: float) -> Rates:
    """FLOP a second of a product of two square float32 matrices, with all cores.

    NumPy and torch come with different libraries, any of which may be the faster on a processor: it is the fastest
    one that says what the processor can do.
    """
    rng = np.random.default_rng(0)
    left, right = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
    out = np.empty_like(left)
    flop = 2.0 * SIDE**3
    if not has_torch():
        return repeat(lambda: np.matmul(left, right, out=out), amount=flop, seconds=seconds)
    by_numpy = repeat(lambda: np.matmul(left, right, out=out), amount=flop, seconds=seconds / 2)
    return max(by_numpy, torch_matrix_rates("cpu", "float32", seconds=seconds / 2, side=SIDE), key=lambda r: r.high)


def torch_matrix_rates(device: str, dtype: str, *, seconds: float, side: int) -> Rates:
    """FLOP a second of torch's matrix product on a device, in a precision.

    On a CPU also as a convolution with filters of one pixel, which is the same product: torch hands convolutions to
    another library, and on some processors only that one knows the widest instructions.
    """
    import torch

    kind = getattr(torch, dtype)
    left, right = (torch.ones(side, side, dtype=kind, device=device) for _ in range(2))
    out = torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=out)
        wait_for(device)

    def convolve() -> None:
        with torch.inference_mode():
            torch.conv2d(left.view(1, 1, side, side).permute(0, 3, 1, 2), right.view(side, side, 1, 1))

    ways = [multiply, convolve] if device == "cpu" else [multiply]
    found = [repeat(way, amount=2.0 * side**3, seconds=seconds / len(ways)) for way in ways]
    return max(found, key=lambda rates: rates.high)


def copy_rates(*, seconds: float) -> Rates:
    """Bytes a second, read and written, of copying one large array into another.

    By one core and by all of them: the faster is the limit, and on a small machine it may be the one.
    """
    n_bytes = COPIED_BYTES
    source, target = np.ones(n_bytes, np.uint8), np.zeros(n_bytes, np.uint8)
    found = []
    for threads in sorted({1, n_cores()}):
        edges = np.linspace(0, n_bytes, threads + 1).astype(int)
        parts = [slice(at, to) for at, to in itertools.pairwise(edges)]
        with ThreadPoolExecutor(threads) as pool:

            def work(pool: ThreadPoolExecutor = pool, parts: list[slice] = parts) -> None:
                list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))

            found.append(repeat(work, amount=2.0 * n_bytes, seconds=seconds / 2))
    return max(found, key=lambda rates: rates.high)


def gpu_copy_rates(*, seconds: float) -> Rates:
    """Bytes a second, read and written, of copying within a GPU's memory."""
    import torch

    source, target = (torch.ones(COPIED_BYTES_GPU, dtype=torch.uint8, device=GPU) for _ in range(2))

    def work() -> None:
        target.copy_(source)
        wait_for(GPU)

    return repeat(work, amount=2.0 * COPIED_BYTES_GPU, seconds=seconds)


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def has_torch() -> bool:
    """Whether torch is installed; it is not imported for the answer."""
    return find_spec("torch") is not None


def n_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy() -> str | None:
    """A sentence where other programs keep the cores at work before anything is measured; None where they do not."""
    if not hasattr(os, "getloadavg"):
        return None
    load = os.getloadavg()[0]
    if load <= BUSY_SHARE * n_cores():
        return None
    return (
        f"Other programs were at work when this began (load {load:.1f} on {n_cores()} cores): all figures are too "
        "low, and the shares are uncertain. Close them, and measure again."
    )


def describe_machine() -> dict[str, Any]:
    """The machine: processor, cores, memory, GPU; no host or user name."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": n_cores(),
        "memory_gb": _memory_gb(),
        "gpu": _gpu_name(),
    }


def _memory_gb() -> float | None:
    """None where the system does not tell."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def _processor() -> str:
    """The processor's name as Linux tells it; elsewhere its family."""
    listed = Path("/proc/cpuinfo")
    for line in listed.read_text(errors="replace").splitlines() if listed.is_file() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_gpu() -> bool:
    """Whether torch finds a GPU."""
    return _gpu_name() is not None


def gpu_precision() -> str:
    """What overread trains in on the GPU."""
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"


def _gpu_name() -> str | None:
    if not has_torch():
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
