"""`overread replay`: train again from a run's record."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ABOUT = """\
Trains in another folder with the recorded images, settings and seed, and
compares the split, the weights, every epoch and every test figure, bit for
bit. Exit code 1 where anything differs."""
EXAMPLE = "overread replay runs/first"
DIFFERENT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a model folder that overread train wrote")
    parser.add_argument("--out", type=Path, help="where to train again (default: RUN-replay)")


def run(args: argparse.Namespace) -> int:
    """Train again and compare. Exit code 0 where all is the same, 1 where anything differs."""
    from overread.cli.console import ConsoleWatcher, loading_torch

    with loading_torch():
        from overread.run.replay import replay

    run = args.run if args.run.name else args.run.absolute()
    out = args.out or run.parent / f"{run.name}-replay"
    with ConsoleWatcher() as watch:
        result = replay(args.run, out=out, workers=os.cpu_count() or 1, watch=watch)
        same = {True: "the same, bit for bit", False: "different"}
        watch.say("")
        watch.say(f"Images, labels and split:  {same[result.same_data]}")
        watch.say(f"Weights of the best epoch: {same[result.same_weights]}")
        watch.say(f"History, every epoch:      {same[result.same_history]}")
        watch.say(f"Test figures:              {same[not result.differing]}")
        for name, (then, now) in result.differing.items():
            watch.say(f"  {name}: {then:.6f} then, {now:.6f} now")
        if not result.same:
            for sentence in result.elsewhere or ("The machine and the versions are the same.",):
                watch.say(f"  {sentence}")
    return 0 if result.same else DIFFERENT
