"""A verb under torchrun: the first process runs it, and calls the others into its trainings."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from overread.errors import SettingsError
from overread.training.torchrun import may_restart, n_workers

TRAINING = ("train", "compare", "controls", "replay")


def run_verb(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a verb, alone or as one of several workers; only the first one says and writes anything."""
    if n_workers() == 1:
        return run(args)
    if args.verb not in TRAINING:
        raise SettingsError(
            f"overread {args.verb} is the work of one process, and torchrun has started {n_workers()}. Leave it out."
        )
    if may_restart() and args.out is None and getattr(args, "resume", None) is None:
        raise SettingsError(
            "--max-restarts of torchrun needs --out: workers that start anew must find the run again."
        )
    from overread.run.along import train_along
    from overread.training.launch import joined

    with joined(device=getattr(args, "device", None) or "auto") as world:
        if not world.is_first:
            train_along(world)
            return 0
        code = run(args)
        world.call(None)
        return code
