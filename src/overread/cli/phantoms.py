"""`overread phantoms`: synthetic CT patients on disk."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from overread.cli.flags import add_flags, given_flags
from overread.data.phantom import PhantomSettings
from overread.settings import from_dict

ABOUT = """\
Each patient is a series of CT Image Storage with one lesion, whose mask is
kept; three scanners differ as scanners do. Flaws are planted on request, to
see whether they are found. OUT/truth.json tells all."""
EXAMPLE = """\
overread phantoms chests/ --body chest --patients 60
overread phantoms flawed/ --flaws leaked-patient,marker"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder; the images go to OUT/images")
    add_flags(parser, PhantomSettings, title="phantoms")


def run(args: argparse.Namespace) -> int:
    """Write the phantoms, and say how to train on them."""
    from overread.cli.console import ConsoleWatcher
    from overread.data.phantom import make_phantoms

    settings = from_dict(PhantomSettings, given_flags(args, PhantomSettings))
    with ConsoleWatcher() as watch:
        make_phantoms(
            args.out,
            settings,
            workers=os.cpu_count() or 1,
            progress=lambda done, total: watch.step("phantom patients", done, total),
        )
        watch.say(f"{settings.patients} patients are in {args.out / 'images'}; {args.out / 'truth.json'} tells all.")
        watch.say(f"Next: overread train {args.out / 'images'}")
    return 0
