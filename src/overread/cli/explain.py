"""`overread explain`: the evidence for each answer, over the image. Only other kinds of maps need torch."""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags
from overread.disk import write_atomically
from overread.errors import ImageError, RunError, SettingsError
from overread.settings import from_dict

if TYPE_CHECKING:
    from overread.run.explain import Explained, Explainer

ABOUT = """\
Draws where in each image the evidence for the answer lies, beside the image
alone, with the probabilities, the set of classes, where the evidence lies
(outside the body, in the rim, on burnt-in letters), and the training images
that the network takes to be most like it. One PNG an image, and a table."""
EXAMPLE = """\
overread explain runs/first scan.dcm
overread explain runs/first scans/ --out explained
overread explain runs/first scan.dcm --about tumor --against aneurysm"""
SOME_FAILED = 2
TABLE = "explained.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from overread.run.explain import ExplainSettings

    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE-OR-FOLDER", help="images, or folders of images")
    parser.add_argument("--out", type=Path, help="the folder to write (default: MODEL-explained-1, -2, ...)")
    parser.add_argument("--anyway", action="store_true", help="show maps that failed their controls, with a warning")
    add_flags(parser, ExplainSettings, title="explanation")


def run(args: argparse.Namespace) -> int:
    """Explain, and write the pictures and the table. Exit code 2 where any file could not be used."""
    from overread.predict import image_files
    from overread.run.explain import Explainer, ExplainSettings

    settings = from_dict(ExplainSettings, given_flags(args, ExplainSettings))
    out = args.out or _new_folder(args.model)
    _check_free(out)
    explainer = Explainer(args.model, settings, anyway=args.anyway)
    files = image_files(args.files)
    if not files:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give images, or folders that hold some.")
    found = []
    for number, one in enumerate(_watched(explainer, files), start=1):
        if one.sheet:
            write_atomically(out / _picture_name(number), one.sheet)
        found.append(one)
    write_atomically(out / TABLE, _as_csv(found, explainer))
    _print(found, explainer, out)
    return SOME_FAILED if any(one.prediction.problem for one in found) else 0


def _new_folder(model: Path) -> Path:
    name = model.absolute().name
    return next(
        folder
        for number in itertools.count(1)
        if not (folder := model.absolute().parent / f"{name}-explained-{number}").exists()
    )


def _check_free(out: Path) -> None:
    if out.is_file():
        raise SettingsError(f"--out {out} is a file, and must name a folder. Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / TABLE).is_file():
        raise RunError(f"{out} holds other things than explanations. Choose another --out.")


def _watched(explainer: Explainer, files: list[Path]) -> Iterable[Explained]:
    """Explanations as they come, with a bar on the error stream where a person watches and waits."""
    found = explainer.explain_files(files)
    if len(files) < 8 or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "explaining", total=len(files), console=Console(stderr=True), transient=True)


def _picture_name(number: int) -> str:
    return f"{number:04d}.png"


def _as_csv(found: list[Explained], explainer: Explainer) -> str:
    from overread.explain.where import REGIONS

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{words} {name}" for name in REGIONS for words in ("evidence", "area")]
    classes = explainer.predictor.card.classes
    writer.writerow(
        ["picture", "path", "frame", "predicted", *(f"p_{name}" for name in classes), "abstains", "explained",
         *columns, "like", "problem"]
    )  # fmt: skip
    for number, one in enumerate(found, start=1):
        p = one.prediction
        values = [repr(p.probabilities[name]) if p.probabilities else "" for name in classes]
        places = [f"{value:.4f}" for name in REGIONS if name in one.places for value in one.places[name][:2]]
        like = "|".join(f"{near.label} {near.patient or '?'} {near.distance:.4f}" for near in one.like)
        writer.writerow(
            [_picture_name(number) if one.sheet else "", p.path, p.frame, p.label or "", *values, p.abstains or "",
             one.label, *(places or [""] * len(columns)), like, p.problem or ""]
        )  # fmt: skip
    return text.getvalue()


def _print(found: list[Explained], explainer: Explainer, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from overread.cli.terminal import Terminal

    console = Terminal()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (("picture", False), ("image", False), ("answer", False), ("evidence for", False),
                        ("outside the body", True), ("in the rim", True), ("on letters", True)):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for number, one in enumerate(found, start=1):
        p = one.prediction
        if p.problem:
            table.add_row("", Text(p.path), "not read", "", "", "", "")
            continue
        places = [f"{share:.0%}" if area > 0 else "-" for share, area, _ in one.places.values()]
        answer = f"none: {p.abstains}" if p.abstains else f"{p.label} {p.probabilities[str(p.label)]:.2f}"
        shown = p.path if not p.frame else f"{p.path} [{p.frame}]"
        table.add_row(_picture_name(number), Text(shown), Text(answer), Text(one.label), *places)
    console.print(table)
    for one in found:
        if one.prediction.problem:
            console.print(f"not read: {one.prediction.problem}", style="red", markup=False, soft_wrap=True)
    for sentence, style in _notes(explainer):
        console.print(sentence, style=style, markup=False, soft_wrap=True)
    console.print(f"Pictures and {TABLE}: {out}", markup=False, soft_wrap=True)


def _notes(explainer: Explainer) -> Iterable[tuple[str, str]]:
    """What a reader of the pictures must know, and how it looks."""
    method = explainer.settings.method
    if explainer.failed is None:
        yield f"Maps of the kind {method} were not checked on this model: overread explain MODEL --check.", "dim"
    elif explainer.failed:
        shown = "shown because of --anyway" if explainer.anyway else "withheld; --anyway shows them"
        yield (
            f"! Maps of the kind {method} failed on this model ({'; '.join(explainer.failed)}): {shown}.",
            "bold yellow",
        )
    for mark in explainer.predictor.card.marks:
        yield f"! {mark}", "bold yellow"
    yield explainer.predictor.card.intended_use, "dim"
