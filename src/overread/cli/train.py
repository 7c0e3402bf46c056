"""`overread train`: from a list of images to a tested classifier in a model folder."""

from __future__ import annotations

import argparse
import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, add_ray, check_ray, given_flags, whole_number
from overread.data.cohort import CohortSettings
from overread.errors import RunError, SettingsError
from overread.settings import RECIPES, ImageSettings, TrainSettings, from_dict, recipe_settings
from overread.training.torchrun import n_restarts

if TYPE_CHECKING:
    from overread.cli.console import ConsoleWatcher
    from overread.run.job import Job
    from overread.run.many import SideBySide
    from overread.run.outputs import Outcome

MOST_WORKERS = 256
ABOUT = """\
Divides the images by patient, fine-tunes a pretrained network, keeps the best
epoch, tests it once on patients that it has not seen, and writes a model
folder: weights, figures with intervals, pictures, every prediction, and a
record to train again from. DICOM, PNG, JPEG, TIFF and NIfTI are recognised by
their content."""
EXAMPLE = r"""
overread train scans/                     # scans/aneurysm/, scans/tumor/, ...
overread train list.csv --out runs/first  # list.csv: path,label,patient
overread train dicom/ --labels labels.csv
overread train scans/ --patient-regex 'case(\d+)_' --window brain
overread train scans/ --recipe paper --split image
overread train scans/ --folds 5           # every patient tested once
overread train --resume runs/first        # after Ctrl-C or a crash""".strip()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags: what a person asks for first, then the settings, field by field."""
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="DATA",
        help="a folder with a sub-folder a class, a CSV (path, label[, patient, series, site, split]), "
        "a MONAI datalist, a MedMNIST NPZ, or a DICOM tree with --labels",
    )
    parser.add_argument("--out", type=Path, help="the model folder to write (default: runs/NAME-1, -2, ...)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run that was stopped or killed")
    parser.add_argument(
        "--finish", action="store_true", help="with --resume: train no further, test the best epoch so far"
    )
    parser.add_argument(
        "--seeds", type=whole_number, default=1, metavar="N", help="train N seeds and report the spread"
    )
    add_folds(parser)
    add_ray(
        parser, "train by N workers of Ray, one a GPU, as one would; with --folds or --seeds, N trainings at once"
    )
    add_audit(parser)
    add_job_flags(parser)


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of cross-validation."""
    parser.add_argument(
        "--folds", type=whole_number, metavar="K", help="cross-validate: K trainings, each patient tested once"
    )
    parser.add_argument(
        "--leave-one-site-out", action="store_true", help="train once for each site, and test on that site"
    )
    parser.add_argument(
        "--repeats", type=whole_number, metavar="R", help="with either: all of it R times, each with its own seed"
    )


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the audit that comes before a training."""
    parser.add_argument(
        "--audit",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look for what would make the figures too good, before training (see overread audit)",
    )
    add_ignore(parser)


def add_ignore(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that leave a check out of the verdict, with the reason."""
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="CODE", help="leave a check out of the verdict; needs --why"
    )
    parser.add_argument(
        "--why", action="append", default=[], metavar="TEXT", help="the reason for --ignore; kept in the record"
    )


def ignored(args: argparse.Namespace) -> dict[str, str]:
    """The reason for each code that is to be ignored."""
    if len(args.ignore) != len(args.why):
        raise SettingsError('Each --ignore CODE needs its reason: --ignore L06 --why "one picture a patient".')
    return dict(zip(args.ignore, args.why, strict=True))


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Declare the number of processes that decode images."""
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=None,
        metavar="N",
        help="processes that decode images (default: one a core)",
    )


def add_job_flags(parser: argparse.ArgumentParser, omit: tuple[str, ...] = ()) -> None:
    """Declare the flags of a training: where it starts from, then each setting of it, of the images and the list."""
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="default", help="settings to start from")
    parser.add_argument(
        "--skip-bad", action="store_true", help="go on without unusable images, listed in skipped.csv"
    )
    add_workers(parser)
    add_flags(parser, TrainSettings, title="training", omit=omit)
    add_flags(parser, ImageSettings, title="images")
    add_flags(parser, CohortSettings, title="list of images")


def make_job(args: argparse.Namespace, *, out: Path) -> Job:
    """The job that the flags ask for."""
    from overread.run.job import Job

    return Job(
        source=args.source,
        out=out,
        train=recipe_settings(args.recipe, **given_flags(args, TrainSettings)),
        image=from_dict(ImageSettings, given_flags(args, ImageSettings)),
        cohort=from_dict(CohortSettings, given_flags(args, CohortSettings)),
        skip_bad=args.skip_bad,
        audit=args.audit,
        ignore=ignored(args),
        workers=n_workers(args),
    )


def n_workers(args: argparse.Namespace) -> int:
    """How many processes decode images: as asked, else one a core."""
    return args.workers if args.workers is not None else os.cpu_count() or 1


def new_folder(source: Path) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, ... that holds no run, nor anything else of worth."""
    from overread.run.job import check_free

    name = source.absolute().stem or "run"
    for number in itertools.count(1):
        folder = Path("runs") / f"{name}-{number}"
        with suppress(RunError):
            check_free(folder)
            break
    return folder


def run(args: argparse.Namespace) -> int:
    """Train, or go on training, and print what came of it."""
    _check(args)
    if args.resume is None:
        job = make_job(args, out=args.out or new_folder(args.source))  # settings die before torch is loaded
    from overread.cli.console import ConsoleWatcher, loading_torch
    from overread.cli.outcome import print_outcome, print_several, told_how_to_go_on, told_to_repeat

    with loading_torch():
        from overread.run import many
        from overread.run.train import resume

    with ConsoleWatcher() as watch:
        if args.resume is not None:
            with told_how_to_go_on(args.resume):
                outcome = resume(args.resume, watch=watch, workers=n_workers(args), finish=args.finish)
        elif args.seeds > 1:
            with told_to_repeat(job.out):
                outcomes = many.run_all(
                    many.by_seed(job, args.seeds), out=job.out, watch=watch, side_by_side=side_by_side(args)
                )
            print_several(outcomes, table_file=job.out / many.TABLE, console=watch.console, spread=True)
            return 0
        elif args.folds is not None or args.leave_one_site_out:
            _cross_validate(args, job, watch)
            return 0
        else:
            with told_how_to_go_on(job.out):
                outcome = _train(args, job, watch)
        print_outcome(outcome, console=watch.console)
    return 0


def _train(args: argparse.Namespace, job: Job, watch: ConsoleWatcher) -> Outcome:
    """One training, by this process or by those of Ray; started anew by torchrun it goes on with its folder."""
    from overread.run.job import check_free
    from overread.run.many import train_or_go_on
    from overread.run.train import train

    if args.ray is not None:
        from overread.run.ray_train import train_by_ray

        check_free(job.out)
        return train_by_ray(job, n_workers=args.ray, watch=watch)
    return (train_or_go_on if n_restarts() else train)(job, watch=watch)


def side_by_side(args: argparse.Namespace) -> SideBySide | None:
    """What does several trainings at once, where --ray asks for it."""
    if args.ray is None:
        return None
    from overread.run.ray_train import train_side_by_side

    return lambda jobs, watch: train_side_by_side(jobs, n_workers=args.ray, watch=watch)


def _cross_validate(args: argparse.Namespace, job: Job, watch: ConsoleWatcher) -> None:
    """Train once for each fold or site, and print them together."""
    from overread.cli.folds import print_folds
    from overread.cli.outcome import told_to_repeat
    from overread.run.folds import cross_validate, leave_sites_out

    repeats = 1 if args.repeats is None else args.repeats
    with told_to_repeat(job.out):
        if args.folds is not None:
            found = cross_validate(
                job, n_folds=args.folds, n_repeats=repeats, watch=watch, side_by_side=side_by_side(args)
            )
        else:
            found = leave_sites_out(job, n_repeats=repeats, watch=watch, side_by_side=side_by_side(args))
    print_folds(found, out=job.out, console=watch.console)


def check_workers(args: argparse.Namespace) -> None:
    """Refuse a number of processes that makes no sense."""
    if args.workers is not None and not 0 <= args.workers <= MOST_WORKERS:
        raise SettingsError(f"--workers {args.workers} is out of range; it lies between 0 and {MOST_WORKERS}.")


def _check(args: argparse.Namespace) -> None:
    if args.finish and args.resume is None:
        raise SettingsError("--finish ends a run early, so it needs --resume RUN.")
    if (args.source is None) == (args.resume is None):
        raise SettingsError("Give the images to train on, or --resume RUN to go on with a run; one of the two.")
    if args.resume is not None:
        given = [*given_flags(args, TrainSettings), *given_flags(args, ImageSettings)]
        given += given_flags(args, CohortSettings)
        given += [name for name in ("folds", "repeats", "leave_one_site_out") if getattr(args, name)]
        if given or args.out or args.seeds != 1 or args.recipe != "default" or args.ignore or not args.audit:
            flag = given[0].replace("_", "-") if given else "out, --seeds, --recipe, --ignore or --no-audit"
            raise SettingsError(
                f"--resume goes on with the run's own settings, so --{flag} cannot be given. Leave it out, "
                "or start a new run."
            )
    check_workers(args)
    check_ray(args)
    if args.ray is not None and args.resume is not None:
        raise SettingsError("--resume goes on in this process, or under torchrun. Leave out --ray.")
    if args.seeds < 1:
        raise SettingsError(f"--seeds {args.seeds} is out of range; it is 1 or more.")
    check_folds(args, seeds=args.seeds, sites=args.leave_one_site_out)


def check_folds(args: argparse.Namespace, *, seeds: int = 1, sites: bool = False) -> None:
    """Refuse flags that go against cross-validation, and its own without it."""
    asked = ["--folds"] * (args.folds is not None) + ["--leave-one-site-out"] * sites
    if len(asked) > 1:
        raise SettingsError("--folds and --leave-one-site-out are two ways to hold patients back. Give one of them.")
    if args.repeats is not None and not asked:
        raise SettingsError("--repeats goes with --folds or --leave-one-site-out; for plain repeats give --seeds.")
    if asked and seeds > 1:
        raise SettingsError(f"{asked[0]} is repeated by --repeats {args.seeds}, not by --seeds.")
    if asked and args.split is not None:
        raise SettingsError(f"{asked[0]} makes its own split, so --split {args.split} cannot be given. Leave it out.")
