"""`overread controls`: what a model's figures rest on, shown by training it wrongly on purpose."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from overread.cli.flags import given_flags, whole_number
from overread.cli.train import add_job_flags, check_workers, make_job, new_folder
from overread.errors import SettingsError
from overread.settings import TrainSettings

if TYPE_CHECKING:
    from rich.console import Console

    from overread.run.controls import Controls

ABOUT = """\
Three experiments with your own images, network and settings:
  gap       split by image beside split by patient: what is recognising
            patients, and not disease
  shuffled  labels dealt out anew among the patients: by patient they must
            score chance, by image they show what the network remembers
  learning  a quarter, half, three quarters and all of the training patients:
            would more of them help?
Each ends in one sentence, with intervals by patient. Seven trainings in all;
after Ctrl-C or a crash the same command does what is left."""
EXAMPLE = """\
overread controls scans/ --out runs/controls
overread controls scans/ --only gap --repeats 3
overread controls list.csv --only gap,shuffled --epochs 5"""
_STYLES = {"do not": "bold red", "with care": "bold yellow", "good": "bold green"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: those of train, but for its split."""
    parser.add_argument("source", type=Path, metavar="DATA", help="images, as for overread train")
    parser.add_argument("--out", type=Path, help="the folder to write; each training gets a folder in it")
    parser.add_argument(
        "--only", default="gap,shuffled,learning", metavar="A,B", help="some of them (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats",
        type=whole_number,
        default=1,
        metavar="R",
        help="all of it R times, each with its own seed and division (default: 1)",
    )
    add_job_flags(parser)
    parser.set_defaults(audit=False, ignore=[], why=[])


def run(args: argparse.Namespace) -> int:
    """Train, and print the sentences and the figures."""
    check_workers(args)
    if "split" in given_flags(args, TrainSettings):
        raise SettingsError(f"Controls make their own splits, so --split {args.split} cannot be given. Leave it out.")
    job = make_job(args, out=args.out or new_folder(args.source))
    from overread.cli.console import ConsoleWatcher, loading_torch
    from overread.cli.outcome import told_to_repeat

    with loading_torch():
        from overread.run.controls import run_controls

    only = tuple(dict.fromkeys(name.strip() for name in args.only.split(",") if name.strip()))
    with ConsoleWatcher() as watch:
        with told_to_repeat(job.out):
            found = run_controls(job, only=only, n_repeats=args.repeats, watch=watch)
        print_controls(found, out=job.out, console=watch.console)
    return 0


def print_controls(found: Controls, *, out: Path, console: Console) -> None:
    """A line for each arm, then the sentences, gravest in red."""
    from overread.cli.outcome import above_interval, new_table
    from overread.evaluate.repeated import FIGURES
    from overread.evaluate.score import TITLES
    from overread.report.controls import FILE as PAGE
    from overread.run.control_files import arm_row

    table = new_table("Test figures" + f", means of {found.n_repeats} repeats" * (found.n_repeats > 1))
    table.add_column("training", overflow="fold")
    for heading in (
        "patients\nlearnt from",
        *("\n".join(TITLES[name].split()) for name in FIGURES),
        "test images\n(patients)",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for arm in found.arms:
        row = arm_row(found, arm)
        cells = [above_interval(getattr(row, name)) for name in FIGURES]
        patients = "?" if row.auroc.n_patients is None else str(row.auroc.n_patients)
        table.add_row(Text(arm.words), str(row.trained_on), *cells, f"{row.auroc.n_images}\n({patients})")
    console.print(table)
    by_luck = 1 / len(found.trials[0].outcome.score.classes)
    console.print(
        f"Below each figure its 95 % interval. Chance: AUROC 0.500, balanced accuracy {by_luck:.3f}.", markup=False
    )
    for one in found.told:
        console.print(one.words, style=_STYLES[one.tone], markup=False)
    console.print(f"Report: {out / PAGE}", markup=False)
