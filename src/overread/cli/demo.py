"""`overread demo`: the main job from end to end on phantom patients, with nothing to bring along."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

EXAMPLE = "overread demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--out", type=Path, default=Path("overread-demo"), help="folder to write (default: overread-demo)"
    )
    parser.add_argument("--patients", type=int, default=None, help="how many phantom patients (default: 120)")
    parser.add_argument(
        "--seed", type=int, default=0, help="fixes the phantoms and the training (default: 0)"
    )


def run(args: argparse.Namespace) -> int:
    """Make phantoms, train on them, and end with where to look and what to try next."""
    raise NotImplementedError
