"""`overread predict`: probabilities for files and folders, by a model folder. No torch."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from overread.cli.flags import add_ray, check_ray
from overread.disk import growing, replacing
from overread.errors import ImageError, SettingsError

if TYPE_CHECKING:
    from rich.table import Table

    from overread.predict import Prediction, Predictor

ABOUT = """\
Prints the likeliest class and the probability of each, image by image: every
frame of a multi-frame file and every slice of a volume is one. A file that
cannot be used is told, the others are predicted, and the exit code is 2. Needs
no torch. With --csv --out a run that was stopped goes on where it was: give
the same command again."""
EXAMPLE = """\
overread predict runs/first scan.dcm
overread predict runs/first scans/ more/*.png --csv --out answers.csv
overread predict runs/first scan.dcm --json
overread predict runs/first s3://bucket/scans --ray --out answers.parquet"""
SOME_FAILED = 2
ROWS_OF_A_TABLE = 500
"""more are shown as several tables: the width of a column is known only once all of its rows are"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("files", nargs="+", type=_file, metavar="FILE-OR-FOLDER", help="images, or folders of images")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with the model's warnings in it")
    form.add_argument("--csv", action="store_true", help="print CSV, a row an image")
    add_ray(parser, "predict by N workers of Ray, or one a core, and write Parquet files into the folder --out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with --json or --csv: write here, print nothing")
    parser.add_argument(
        "--engine",
        default="onnxruntime",
        help="what runs the network: onnxruntime, or openvino where it is installed",
    )


def run(args: argparse.Namespace) -> int:
    """Predict, and print as asked. Exit code 2 where any file could not be used; the others are printed too."""
    _check_out(args)
    if args.ray is not None:
        return _predict_by_ray(args)
    from overread.predict import Predictor, image_files

    predictor = Predictor(args.model, engine=args.engine)
    if next(image_files(args.files), None) is None:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give images, or folders that hold some.")
    files = image_files(args.files)
    if args.csv and args.out:
        return _grow_csv(predictor, files, args)
    found = _watched(predictor, files, args.files)
    if args.csv:
        n_failed = _print_csv(predictor, found)
    elif args.json:
        n_failed = _print_json(predictor, found, args.out)
    else:
        n_failed = _print_table(predictor, found)
    return SOME_FAILED if n_failed else 0


def _file(text: str) -> Path | str:
    """A path, or an address as it is: a path would lose one of its slashes."""
    return text if "://" in text else Path(text)


def _predict_by_ray(args: argparse.Namespace) -> int:
    """Predict by many workers, and say what they have written."""
    from overread.run.ray_predict import predict_all

    found = predict_all(args.model, args.files, out=args.out, n_workers=args.ray, engine=args.engine)
    failed = f", {found.n_failed} of them without one: see the column problem" if found.n_failed else ""
    print(f"{found.n_images} answers{failed}. They are in {found.folder}.")
    return SOME_FAILED if found.n_failed else 0


def _check_ray(args: argparse.Namespace) -> None:
    """Refuse what goes with --ray without it, and --ray without a folder to fill."""
    check_ray(args)
    if args.ray is not None and args.out is None:
        raise SettingsError("--ray writes a folder of Parquet files: name it by --out.")
    if args.ray is not None and (args.csv or args.json):
        raise SettingsError("--ray writes Parquet files, neither CSV nor JSON. Leave out one of them.")
    remote = next((file for file in args.files if isinstance(file, str)), None)
    if remote is not None and args.ray is None:
        raise SettingsError(f"{remote} is not on this machine: such files are read with --ray.")


def _check_out(args: argparse.Namespace) -> None:
    """Refuse a file that --out would not fill, or one that is no table: an image, say."""
    _check_ray(args)
    if args.out is None or args.ray is not None:
        return
    if not (args.json or args.csv):
        raise SettingsError("--out goes with --json or --csv; add one of them.")
    ending = ".json" if args.json else ".csv"
    if args.out.suffix.lower() != ending:
        raise SettingsError(f"--out {args.out} does not end in {ending}. Name a file that does.")


def _watched(
    predictor: Predictor, files: Iterable[Path], given: Sequence[Path], done: int = 0
) -> Iterator[Prediction]:
    """Predictions as they come, with a bar on the error stream where a person watches and waits."""
    if not sys.stderr.isatty():
        return predictor.predict_files(files)
    from overread.predict import image_files

    total = sum(1 for _ in image_files(given))
    if total < 50:
        return predictor.predict_files(files)
    return _with_bar(predictor.predict_files(files), total, done)


def _with_bar(found: Iterator[Prediction], total: int, done: int) -> Iterator[Prediction]:
    from rich.console import Console
    from rich.progress import track

    yield from track(found, "predicting", total=total, completed=done, console=Console(stderr=True), transient=True)


def _grow_csv(predictor: Predictor, files: Iterator[Path], args: argparse.Namespace) -> int:
    """Write CSV as the answers come, after those that an earlier run has left."""
    from overread.cli.answers import GrowingTable, key_of

    with growing(args.out, key=key_of(predictor)) as stream:
        table = GrowingTable(predictor, stream)
        left = table.left(files)
        if table.n_kept:
            print(f"{table.n_kept} answers of a run that was stopped are kept.", file=sys.stderr)
        try:
            _, n_failed = table.write(_watched(predictor, left, args.files, table.n_kept))
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped. What was answered is kept: give the same command to go on.") from None
    return SOME_FAILED if n_failed + table.n_failed else 0


def _print_csv(predictor: Predictor, found: Iterable[Prediction]) -> int:
    from overread.cli.answers import Table

    table, n_failed = Table(predictor, sys.stdout), 0
    table.write_header()
    for p in found:
        table.write(p)
        n_failed += p.problem is not None
    return n_failed


def _print_json(predictor: Predictor, found: Iterable[Prediction], out: Path | None) -> int:
    if out is None:
        return _stream_json(predictor, found, sys.stdout)
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        return _stream_json(predictor, found, stream)


def _stream_json(predictor: Predictor, found: Iterable[Prediction], stream: TextIO) -> int:
    """One JSON object, written as the answers come."""
    head = {
        "model": str(predictor.folder),
        "classes": predictor.card.classes,
        "marks": predictor.card.marks,
        "intended_use": predictor.card.intended_use,
    }
    opened = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
    stream.write(f'{opened},\n  "predictions": [')
    n_failed = 0
    for n, p in enumerate(found):
        text = json.dumps(_plain(p), indent=2, ensure_ascii=False).replace("\n", "\n    ")
        stream.write(f"{',' if n else ''}\n    {text}")
        n_failed += p.problem is not None
    stream.write("\n  ]\n}\n")
    return n_failed


def _plain(prediction: Prediction) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(prediction).items() if name != "class_maps"}


def _print_table(predictor: Predictor, found: Iterator[Prediction]) -> int:
    from overread.cli.terminal import Terminal

    console = Terminal()
    classes = predictor.card.classes
    fits = sum(max(len(name), 5) + 2 for name in classes) <= console.width / 2
    caution = predictor.card.caution
    doubts = bool(caution.thresholds) or caution.farthest is not None
    n_failed = 0
    while some := list(itertools.islice(found, ROWS_OF_A_TABLE)):
        console.print(_table(some, classes if fits else None, doubts=doubts))
        for p in some:
            if p.problem:
                n_failed += 1
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
    return n_failed


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
