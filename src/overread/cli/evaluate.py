"""`overread evaluate`: the second read of a finished model, here or on images from elsewhere."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags
from overread.cli.train import add_workers, check_workers, n_workers
from overread.data.cohort import CohortSettings
from overread.errors import SettingsError
from overread.settings import from_dict

if TYPE_CHECKING:
    from overread.evaluate.second_read import SecondRead

ABOUT = """\
Says what a model is worth, and whether to believe it: figures with intervals
by patient, at a threshold chosen on other images, calibration, how sure it may
be, subgroups, and its worst mistakes, as a report for a browser. With DATA the
model is tested on images from elsewhere, beside its own figures; without, its
own test part is read again."""
EXAMPLE = """\
overread evaluate runs/first                       # its own test part
overread evaluate runs/first other-hospital/
overread evaluate runs/first list.csv --out read-2 --pdf
overread evaluate runs/first --operating sensitivity=0.95 --prevalence 0.02"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("source", nargs="?", type=Path, metavar="DATA", help="labelled images from elsewhere")
    parser.add_argument("--out", type=Path, help="the folder to write (default: MODEL-read-1, -2, ...)")
    parser.add_argument(
        "--operating",
        default="youden",
        metavar="RULE",
        help="how the threshold is chosen, on the validation part: youden, sensitivity=0.95 or specificity=0.9",
    )
    parser.add_argument(
        "--prevalence",
        type=float,
        metavar="P",
        help="share of the patients who have the disease where the model is to be used (default: as in the images)",
    )
    parser.add_argument("--pdf", action="store_true", help="write report.pdf too (needs overread[pdf])")
    parser.add_argument("--skip-bad", action="store_true", help="go on without unusable images")
    add_workers(parser)
    add_flags(parser, CohortSettings, title="list of images")


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print the verdict and the figures."""
    check_workers(args)
    if args.prevalence is not None and not 0 < args.prevalence < 1:
        raise SettingsError(f"--prevalence {args.prevalence:g} is out of range; it lies between 0 and 1.")
    given = given_flags(args, CohortSettings)
    if given and args.source is None:
        flag = next(iter(given)).replace("_", "-")
        raise SettingsError(f"--{flag} says how DATA is read, and there is no DATA. Give it, or leave the flag out.")
    from overread.cli.console import ConsoleWatcher
    from overread.cli.outcome import print_read
    from overread.run.evaluate import Evaluation, evaluate

    asked = Evaluation(
        model=args.model,
        out=args.out or _new_folder(args.model),
        source=args.source,
        cohort=from_dict(CohortSettings, given),
        operating=args.operating,
        prevalence=args.prevalence,
        skip_bad=args.skip_bad,
        pdf=args.pdf,
        workers=n_workers(args),
    )
    with ConsoleWatcher() as watch:
        read: SecondRead = evaluate(asked, watch=watch)
        print_read(read, folder=asked.out, console=watch.console)
    return 0


def _new_folder(model: Path) -> Path:
    """The first of MODEL-read-1, MODEL-read-2, ... that is not there."""
    name = model.absolute().name
    return next(
        folder
        for number in itertools.count(1)
        if not (folder := model.absolute().parent / f"{name}-read-{number}").exists()
    )
