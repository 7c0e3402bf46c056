"""What torchrun tells each process that it starts, by its environment. No torch here: flags are checked before it."""

from __future__ import annotations

import os
from collections.abc import Mapping

_TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def n_workers(environment: Mapping[str, str] = os.environ) -> int:
    """How many workers torchrun has started; 1 without it."""
    return int(environment["WORLD_SIZE"]) if all(environment.get(name) for name in _TOLD) else 1


def n_local(environment: Mapping[str, str] = os.environ) -> int:
    """How many of them are on this machine."""
    return int(environment.get("LOCAL_WORLD_SIZE") or 1)


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Which of those on this machine this one is, from 0."""
    return int(environment.get("LOCAL_RANK") or 0)


def n_restarts(environment: Mapping[str, str] = os.environ) -> int:
    """How often torchrun has started its workers anew, after one of them was lost."""
    return int(environment.get("TORCHELASTIC_RESTART_COUNT") or 0)


def may_restart(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun would start its workers anew."""
    return int(environment.get("TORCHELASTIC_MAX_RESTARTS") or 0) > 0
