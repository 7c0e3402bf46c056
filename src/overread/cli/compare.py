"""`overread compare`: several networks on the same images and the same split, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_ray, check_ray, given_flags, number, whole_number
from overread.cli.train import (
    add_audit,
    add_job_flags,
    check_folds,
    check_workers,
    make_job,
    new_folder,
    side_by_side,
)
from overread.data.cohort import CohortSettings
from overread.errors import SettingsError
from overread.settings import ImageSettings, TrainSettings

if TYPE_CHECKING:
    from overread.cli.console import ConsoleWatcher
    from overread.run.job import Job

ABOUT = """\
Every network is trained with the same settings on the same split, in a folder
of its own; a table sets them side by side, and a paired test says whether they
may be ranked. After Ctrl-C or a crash the same command keeps what has ended
and does what is left. With --runs nothing is trained: finished runs, or
evaluations of several models on the same images, are compared as they are."""
EXAMPLE = """\
overread compare scans/ --backbones resnet18,resnet50,alexnet,vgg16
overread compare scans/ --backbones resnet18,vgg16 --folds 5 --margin 0.05
overread compare --runs first-read-1 second-read-1 --margin 0.05"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: those of train, with several networks for one."""
    parser.add_argument("source", nargs="?", type=Path, metavar="DATA", help="images, as for overread train")
    parser.add_argument("--backbones", metavar="A,B,...", help="networks to compare")
    parser.add_argument(
        "--runs", nargs="+", type=Path, metavar="RUN", help="finished runs or evaluations, in place of DATA"
    )
    parser.add_argument("--out", type=Path, help="the folder to write; each trained network gets a folder in it")
    parser.add_argument(
        "--margin",
        type=number,
        metavar="X",
        help="largest difference that does not matter, chosen beforehand: asks which are equivalent, or not worse",
    )
    parser.add_argument(
        "--folds", type=whole_number, metavar="K", help="cross-validate each network, on the same folds"
    )
    parser.add_argument("--repeats", type=whole_number, metavar="R", help="with --folds: all of it R times")
    add_ray(parser, "N trainings at once by Ray, or one a core")
    add_audit(parser)
    add_job_flags(parser, omit=("backbone",))


def run(args: argparse.Namespace) -> int:
    """Train each network and print a table of them, or take finished runs; then say whether they may be ranked."""
    if args.margin is not None and not 0 < args.margin < 1:
        raise SettingsError(f"--margin {args.margin:g} is out of range; it lies between 0 and 1.")
    if args.runs is not None:
        return _compare_runs(args)
    names = _networks(args)
    check_workers(args)
    check_folds(args)
    check_ray(args)
    job = make_job(args, out=args.out or new_folder(args.source))
    from overread.cli.console import ConsoleWatcher, loading_torch
    from overread.cli.outcome import print_several, told_to_repeat

    with loading_torch():
        from overread.report.comparison import FILE as PAGE
        from overread.run import many
        from overread.run.compare import compare_tested

    jobs = many.by_backbone(job, names)
    many.check_weights(jobs)
    with ConsoleWatcher() as watch:
        if args.folds is not None:
            words = _cross_validate(args, jobs, job.out, watch)
        else:
            with told_to_repeat(job.out):
                outcomes = many.run_all(jobs, out=job.out, watch=watch, side_by_side=side_by_side(args))
            print_several(outcomes, table_file=job.out / many.TABLE, console=watch.console, spread=False)
            words = compare_tested(
                {name: one.folder for name, one in outcomes.items()}, margin=args.margin, out=job.out
            )
        watch.console.print(words, style="bold", markup=False)
        watch.console.print(f"Report: {job.out / PAGE}", markup=False)
    return 0


def _cross_validate(args: argparse.Namespace, jobs: dict[str, Job], out: Path, watch: ConsoleWatcher) -> str:
    from overread.cli.folds import print_folds
    from overread.cli.outcome import told_to_repeat
    from overread.run.folds import compare_folds, cross_validate_each

    with told_to_repeat(out):
        found = cross_validate_each(
            jobs,
            out=out,
            n_folds=args.folds,
            n_repeats=args.repeats or 1,
            watch=watch,
            side_by_side=side_by_side(args),
        )
    for name, one in found.items():
        watch.console.print(f"\n{name}", style="bold", markup=False)
        print_folds(one, out=out / name, console=watch.console)
    return compare_folds(found, out=out, margin=args.margin)


def _compare_runs(args: argparse.Namespace) -> int:
    from overread.cli.console import ConsoleWatcher
    from overread.run.compare import compare_tested

    given = [*given_flags(args, TrainSettings), *given_flags(args, ImageSettings), *given_flags(args, CohortSettings)]
    given += [name for name in ("source", "backbones", "folds", "repeats") if getattr(args, name) is not None]
    if given:
        what = "DATA" if given[0] == "source" else f"--{given[0].replace('_', '-')}"
        raise SettingsError(
            f"--runs compares what is trained already, and {what} goes with a training. Leave it out."
        )
    runs = {str(folder): folder for folder in args.runs}
    if len(runs) < 2:
        raise SettingsError(f"--runs {args.runs[0]} must name two runs or more, each once.")
    with ConsoleWatcher() as watch:
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
        watch.console.print(compare_tested(runs, margin=args.margin, out=args.out), markup=False)
    return 0


def _networks(args: argparse.Namespace) -> list[str]:
    if args.source is None or args.backbones is None:
        raise SettingsError("Give DATA and --backbones A,B,... to train and compare, or --runs with finished runs.")
    names = [name.strip() for name in args.backbones.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise SettingsError(
            f"--backbones {args.backbones} must name two networks or more, each once, with commas between."
        )
    return names
