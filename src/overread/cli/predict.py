"""`overread predict`: probabilities for files and folders, by a model folder. No torch."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from overread.errors import ImageError

if TYPE_CHECKING:
    from overread.predict import Prediction, Predictor

EXAMPLE = "overread predict runs/first scan.dcm"
SOME_FAILED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE-OR-FOLDER", help="images, or folders of images")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with the model's warnings in it")
    form.add_argument("--csv", action="store_true", help="print CSV, a row an image")


def run(args: argparse.Namespace) -> int:
    """Predict, and print as asked. Exit code 2 where any file could not be used; the others are printed too."""
    from overread.predict import Predictor, image_files

    predictor = Predictor(args.model)
    files = image_files(args.files)
    if not files:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give images, or folders that hold some.")
    found = _watched(predictor, files)
    if args.json:
        predictions = list(found)
        _print_json(predictor, predictions)
    elif args.csv:
        predictions = _print_csv(predictor, found, sys.stdout)
    else:
        predictions = list(found)
        _print_table(predictor, predictions)
    return SOME_FAILED if any(p.problem for p in predictions) else 0


def _watched(predictor: Predictor, files: list[Path]) -> Iterable[Prediction]:
    """Predictions as they come, with a bar on the error stream where a person watches and waits."""
    found = predictor.predict_files(files)
    if len(files) < 50 or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "predicting", total=len(files), console=Console(stderr=True), transient=True)


def _print_json(predictor: Predictor, predictions: list[Prediction]) -> None:
    content = {
        "model": str(predictor.folder),
        "classes": predictor.card.classes,
        "marks": predictor.card.marks,
        "intended_use": predictor.card.intended_use,
        "predictions": [dataclasses.asdict(p) for p in predictions],
    }
    print(json.dumps(content, indent=2, ensure_ascii=False))


def _print_csv(predictor: Predictor, found: Iterable[Prediction], stream: TextIO) -> list[Prediction]:
    writer = csv.writer(stream, lineterminator="\n")
    classes = predictor.card.classes
    writer.writerow(["path", "frame", "predicted", *(f"p_{name}" for name in classes), "problem"])
    kept = []
    for p in found:
        values = [f"{p.probabilities[name]:.6f}" if p.probabilities else "" for name in classes]
        writer.writerow([p.path, p.frame, p.label or "", *values, p.problem or ""])
        kept.append(p)
    return kept


def _print_table(predictor: Predictor, predictions: list[Prediction]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    classes = predictor.card.classes
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    table.add_column("predicted")
    for name in classes:
        table.add_column(name, justify="right")
    for p in predictions:
        shown = p.path if not p.frame else f"{p.path} [{p.frame}]"
        values = [f"{p.probabilities[name]:.3f}" for name in classes if p.probabilities]
        table.add_row(Text(shown), Text(p.label or "not read"), *values)
    console = Console(highlight=False)
    console.print(table)
    for p in predictions:
        if p.problem:
            console.print(f"not read: {p.problem}", style="red", markup=False, soft_wrap=True)
    for mark in predictor.card.marks:
        console.print(f"! {mark}", style="bold yellow", markup=False, soft_wrap=True)
    console.print(predictor.card.intended_use, style="dim", markup=False, soft_wrap=True)
