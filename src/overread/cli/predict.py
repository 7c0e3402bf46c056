"""`overread predict`: probabilities for files and folders, by a model folder. No torch."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from overread.disk import write_atomically
from overread.errors import ImageError, SettingsError

if TYPE_CHECKING:
    from rich.table import Table

    from overread.predict import Prediction, Predictor

ABOUT = """\
Prints the likeliest class and the probability of each, image by image: every
frame of a multi-frame file and every slice of a volume is one. A file that
cannot be used is told, the others are predicted, and the exit code is 2. Needs
no torch."""
EXAMPLE = """\
overread predict runs/first scan.dcm
overread predict runs/first scans/ more/*.png --csv --out answers.csv
overread predict runs/first scan.dcm --json"""
SOME_FAILED = 2
SET_MARK = "|"
"""between the classes of a set in CSV"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE-OR-FOLDER", help="images, or folders of images")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with the model's warnings in it")
    form.add_argument("--csv", action="store_true", help="print CSV, a row an image")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with --json or --csv: write here, print nothing")


def run(args: argparse.Namespace) -> int:
    """Predict, and print as asked. Exit code 2 where any file could not be used; the others are printed too."""
    _check_out(args)
    from overread.predict import Predictor, image_files

    predictor = Predictor(args.model)
    files = image_files(args.files)
    if not files:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give images, or folders that hold some.")
    found = _watched(predictor, files)
    stream = io.StringIO() if args.out else sys.stdout
    if args.csv:
        predictions = _print_csv(predictor, found, stream)
    else:
        predictions = list(found)
        if args.json:
            _print_json(predictor, predictions, stream)
        else:
            _print_table(predictor, predictions)
    if isinstance(stream, io.StringIO):
        write_atomically(args.out, stream.getvalue())
    return SOME_FAILED if any(p.problem for p in predictions) else 0


def _check_out(args: argparse.Namespace) -> None:
    """Refuse a file that --out would not fill, or one that is no table: an image, say."""
    if args.out is None:
        return
    if not (args.json or args.csv):
        raise SettingsError("--out goes with --json or --csv; add one of them.")
    ending = ".json" if args.json else ".csv"
    if args.out.suffix.lower() != ending:
        raise SettingsError(f"--out {args.out} does not end in {ending}. Name a file that does.")


def _watched(predictor: Predictor, files: list[Path]) -> Iterable[Prediction]:
    """Predictions as they come, with a bar on the error stream where a person watches and waits."""
    found = predictor.predict_files(files)
    if len(files) < 50 or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "predicting", total=len(files), console=Console(stderr=True), transient=True)


def _print_json(predictor: Predictor, predictions: list[Prediction], stream: TextIO) -> None:
    content = {
        "model": str(predictor.folder),
        "classes": predictor.card.classes,
        "marks": predictor.card.marks,
        "intended_use": predictor.card.intended_use,
        "predictions": [_plain(p) for p in predictions],
    }
    print(json.dumps(content, indent=2, ensure_ascii=False), file=stream)


def _plain(prediction: Prediction) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(prediction).items() if name != "class_maps"}


def _print_csv(predictor: Predictor, found: Iterable[Prediction], stream: TextIO) -> list[Prediction]:
    writer = csv.writer(stream, lineterminator="\n")
    classes = predictor.card.classes
    writer.writerow(["path", "frame", "predicted", *(f"p_{name}" for name in classes), "set", "abstains", "problem"])
    kept = []
    for p in found:
        values = [repr(p.probabilities[name]) if p.probabilities else "" for name in classes]  # read back equal
        doubt = [SET_MARK.join(p.classes), p.abstains or ""]
        writer.writerow([p.path, p.frame, p.label or "", *values, *doubt, p.problem or ""])
        kept.append(p)
    return kept


def _print_table(predictor: Predictor, predictions: list[Prediction]) -> None:
    from overread.cli.terminal import Terminal

    console = Terminal()
    classes = predictor.card.classes
    fits = sum(max(len(name), 5) + 2 for name in classes) <= console.width / 2
    caution = predictor.card.caution
    doubts = bool(caution.thresholds) or caution.farthest is not None
    console.print(_table(predictions, classes if fits else None, doubts=doubts))
    for p in predictions:
        if p.problem:
            console.print(f"not read: {p.problem}", style="red", markup=False, soft_wrap=True)
    if not fits:
        console.print("The probability of every class: --csv or --json.", markup=False, soft_wrap=True)
    if caution.thresholds:
        console.print(
            f"Answers rest on sets of classes that {caution.sets_why}.", style="dim", markup=False, soft_wrap=True
        )
    else:
        console.print(f"It cannot say how sure it is: {caution.sets_why}.", markup=False, soft_wrap=True)
    for mark in predictor.card.marks:
        console.print(f"! {mark}", style="bold yellow", markup=False, soft_wrap=True)
    console.print(predictor.card.intended_use, style="dim", markup=False, soft_wrap=True)


def _table(predictions: list[Prediction], classes: Sequence[str] | None, *, doubts: bool) -> Table:
    """A row an image, with the probability of each of `classes`; None shows the two likeliest classes alone.

    doubts: whether the model can say that it does not know, which then has a column.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("likeliest" if doubts else "predicted", overflow="fold")
    for name in classes or ("probability", "next likeliest"):
        table.add_column(Text(name), justify="right" if classes else "left")
    if doubts:
        table.add_column("answer", overflow="fold")
    for p in predictions:
        cells = [f"{p.probabilities[name]:.3f}" for name in classes or () if p.probabilities]
        if p.probabilities and not classes:
            (_, first), (name, second) = sorted(p.probabilities.items(), key=lambda item: -item[1])[:2]
            cells = [f"{first:.3f}", f"{name} {second:.3f}"]
        shown = p.path if not p.frame else f"{p.path} [{p.frame}]"
        if doubts and p.probabilities:
            cells.append(f"none: {p.abstains}" if p.abstains else str(p.label))
        table.add_row(Text(shown), Text(p.label or "not read"), *map(Text, cells))
    return table
