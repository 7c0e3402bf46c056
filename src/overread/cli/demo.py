"""`overread demo`: the main job from end to end on phantom patients, with nothing to bring along."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import whole_number
from overread.errors import OverreadError, SettingsError
from overread.settings import recipe_settings

if TYPE_CHECKING:
    from overread.data.phantom import PhantomSettings

ABOUT = """\
Nothing to bring along: the patients are made by overread, and each has a
lesion that is known. Takes a few minutes on two cores."""
EXAMPLE = "overread demo\noverread demo --body chest --out chest-demo"
PATIENTS = 120
FEWEST = 9
"""patients: three classes, each in training, validation and test"""
EPOCHS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--out", type=Path, default=Path("overread-demo"), help="folder to write (default: overread-demo)"
    )
    for name, default, sentence in (
        ("--patients", PATIENTS, "phantom patients"),
        ("--epochs", EPOCHS, "passes over the images"),
        ("--seed", 0, "fixes the phantoms and the training"),
    ):
        parser.add_argument(
            name, type=whole_number, default=default, metavar="N", help=f"{sentence} (default: {default})"
        )
    parser.add_argument("--body", choices=("head", "chest"), default="head", help="what to scan (default: head)")
    parser.add_argument("--weights", default="auto", metavar="TEXT", help="pretrained weights, as for overread train")


def run(args: argparse.Namespace) -> int:
    """Make phantoms, train on them, and end with where to look and what to try next."""
    from overread.data.phantom import PhantomSettings

    if args.patients < FEWEST:
        raise SettingsError(
            f"--patients {args.patients} is too few to train and test on; the demo takes {FEWEST} or more."
        )
    phantoms, model = args.out / "phantoms", args.out / "model"
    settings = PhantomSettings(body=args.body, patients=args.patients, seed=args.seed)
    training = recipe_settings("default", epochs=args.epochs, seed=args.seed, weights=args.weights)
    from overread.cli.console import ConsoleWatcher, loading_torch
    from overread.cli.outcome import print_outcome, told_how_to_go_on
    from overread.data.phantom import make_phantoms
    from overread.run.job import Job, check_free

    with loading_torch():
        from overread.run.train import train

    check_free(model)
    workers = os.cpu_count() or 1
    with ConsoleWatcher() as watch:
        watch.say(f"1. {settings.patients} phantom patients ({settings.body} CT as DICOM) in {phantoms / 'images'}")
        if not _are_there(phantoms, settings):
            make_phantoms(
                phantoms,
                settings,
                workers=workers,
                progress=lambda done, total: watch.step("phantom patients", done, total),
            )
        watch.say("2. Train on some of the patients, choose the best epoch on others, test on the rest")
        with told_how_to_go_on(model):
            job = Job(source=phantoms / "images", out=model, train=training, workers=workers)
            outcome = train(job, watch=watch)
        watch.say("3. The result")
        image = sorted((phantoms / "images").rglob("*.dcm"))[0]
        print_outcome(outcome, console=watch.console, image=image)
    return 0


def _are_there(folder: Path, settings: PhantomSettings) -> bool:
    """Whether an earlier demo that was stopped has made the same phantoms already."""
    from overread.data.phantom import read_truth

    try:
        return read_truth(folder).settings == settings
    except OverreadError:
        return False
