"""How a training comes to its workers: one process by itself, or the several that torchrun or Ray has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import torch
from torch import distributed as dist

from overread.errors import RunError, SettingsError
from overread.training import torchrun
from overread.training.world import ALONE, World

STEP_TIMEOUT = timedelta(minutes=30)
"""after which a worker that waits for the others gives up: a lost machine; a lost process is noticed at once"""
CALL_TIMEOUT = timedelta(days=7)
"""the same while the first one reads images, which may be millions"""

_here: ContextVar[World] = ContextVar("overread_world", default=ALONE)


def here() -> World:
    """The workers that a training started now would be divided among."""
    return _here.get()


@contextmanager
def joined(*, device: str = "auto") -> Iterator[World]:
    """Meet the other workers that torchrun has started, or that Ray has brought together; alone without either.

    device: as in the settings. Raises RunError where they do not come, SettingsError where GPUs are too few.
    """
    if torchrun.n_workers() == 1 and not dist.is_initialized():
        yield ALONE
        return
    if device != "cpu" and torch.cuda.is_available():
        _take_gpu(torchrun.local_rank())
    ours = not dist.is_initialized()
    try:
        if ours:
            store, rank, size = next(dist.rendezvous("env://", timeout=STEP_TIMEOUT))  # type: ignore[attr-defined]
            # workers that torchrun has started anew must not read what the lost ones have written
            store = dist.PrefixStore(f"overread-{torchrun.n_restarts()}", store)  # type: ignore[attr-defined]
            dist.init_process_group(store=store, rank=rank, world_size=size, timeout=STEP_TIMEOUT)
        words = dist.new_group(backend="gloo", timeout=CALL_TIMEOUT)
    except (RuntimeError, ValueError) as fault:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise RunError(f"The workers of this training did not meet at {where}: {fault}") from fault
    world = World(rank=dist.get_rank(), size=dist.get_world_size(), n_local=torchrun.n_local(), words=words)
    token = _here.set(world)
    try:
        with _cores(1):
            yield world
    finally:
        _here.reset(token)
        if ours:
            dist.destroy_process_group()


@contextmanager
def sharing_cores(world: World) -> Iterator[None]:
    """Let each worker of this machine compute on its share of the cores, for as long as they all do."""
    if world.size == 1:
        yield
        return
    with _cores(world.n_local):
        yield


@contextmanager
def _cores(divided_by: int) -> Iterator[None]:
    """Compute on all cores, or on a part of them: torchrun leaves one to each, where OMP_NUM_THREADS is not given."""
    before = torch.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, n_cores // divided_by))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _take_gpu(number: int) -> None:
    """Have this process compute on a GPU of its own."""
    if number >= torch.cuda.device_count():
        raise SettingsError(
            f"This machine has {torch.cuda.device_count()} GPUs, and torchrun has started more workers than that. "
            f"Give --nproc-per-node {torch.cuda.device_count()}."
        )
    torch.cuda.set_device(number)
