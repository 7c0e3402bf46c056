"""`overread explain`: the evidence for each answer, over the image. Only other kinds of maps need torch."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import itertools
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags, whole_number
from overread.cli.train import add_workers, check_workers, n_workers
from overread.disk import write_atomically
from overread.errors import ImageError, RunError, SettingsError
from overread.explain.where import CLASS_MAP
from overread.settings import from_dict

if TYPE_CHECKING:
    from rich.console import Console

    from overread.explain.controls import Check
    from overread.run.explain import Explained, Explainer

ABOUT = """\
Draws where in each image the evidence for the answer lies, beside the image
alone, with the probabilities, the set of classes, where the evidence lies
(outside the body, in the rim, on burnt-in letters), and the training images
that the network takes to be most like it. One PNG an image, and a table.

With --check it asks instead whether such maps can be believed on this model:
do they depend on its weights, does the answer go with what they mark, do they
stay the same under noise? The model's report tells the result, and maps that
failed are withheld from then on."""
EXAMPLE = """\
overread explain runs/first scan.dcm
overread explain runs/first scans/ --out explained
overread explain runs/first scan.dcm --about tumor --against aneurysm
overread explain runs/first --check     # are such maps worth a look?
overread explain runs/first --check --method all --retrain"""
SOME_FAILED = 2
DEFAULT_IMAGES = 40
TABLE = "explained.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from overread.run.explain import ExplainSettings

    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE-OR-FOLDER", help="images, or folders of images")
    parser.add_argument("--out", type=Path, help="the folder to write (default: MODEL-explained-1, -2, ...)")
    parser.add_argument("--anyway", action="store_true", help="show maps that failed their controls, with a warning")
    add_flags(parser, ExplainSettings, title="explanation")
    checks = parser.add_argument_group("check")
    checks.add_argument("--check", action="store_true", help="put maps of --method (or all) through their controls")
    checks.add_argument("--images", type=whole_number, metavar="N", help=f"test images (default: {DEFAULT_IMAGES})")
    checks.add_argument("--retrain", action="store_true", help="train twice more, for the two controls that need it")
    checks.add_argument("--masks", type=Path, metavar="FOLDER", help="PNGs named as the images, white on the lesion")
    add_workers(parser)


def run(args: argparse.Namespace) -> int:
    """Explain, and write the pictures and the table. Exit code 2 where any file could not be used."""
    if args.check:
        return _check(args)
    alone = [f"--{name}" for name in ("images", "retrain", "masks") if getattr(args, name)]
    if alone:
        raise SettingsError(f"{alone[0]} belongs to --check. Add --check and leave out the files.")
    if not args.files:
        raise SettingsError("There is no FILE to explain. Name images or folders, or check the maps with --check.")
    from overread.predict import image_files
    from overread.run.explain import Explainer, ExplainSettings

    settings = from_dict(ExplainSettings, given_flags(args, ExplainSettings))
    out = args.out or _new_folder(args.model)
    _check_free(out)
    explainer = Explainer(args.model, settings, anyway=args.anyway)
    files = list(image_files(args.files))
    if not files:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give images, or folders that hold some.")
    found = []
    for number, one in enumerate(_watched(explainer, files), start=1):
        if one.sheet:
            write_atomically(out / _picture_name(number), one.sheet)
        found.append(dataclasses.replace(one, sheet=b""))  # of a long folder not all pictures fit into memory
    write_atomically(out / TABLE, _as_csv(found, explainer))
    _print(found, explainer, out)
    return SOME_FAILED if any(one.prediction.problem for one in found) else 0


def _check(args: argparse.Namespace) -> int:
    """Put maps through their controls. Exit code 0 whatever comes of it: a failure is a result."""
    given = [f"--{name}" for name in ("about", "against", "quantile", "out") if getattr(args, name) is not None]
    if args.files or given or args.anyway:
        raise SettingsError(
            f"--check looks at the model's own test images; leave out {given[0] if given else 'the files'}."
        )
    check_workers(args)
    from overread.cli.console import ConsoleWatcher, loading_torch

    with loading_torch():
        from overread.run.check import Asked, check_each
    asked = Asked(
        model=args.model,
        method=args.method or CLASS_MAP,
        n_images=DEFAULT_IMAGES if args.images is None else args.images,
        retrain=args.retrain,
        masks=args.masks,
        workers=n_workers(args),
    )
    with ConsoleWatcher() as watch:
        for one in check_each(asked, watch=watch):
            _print_check(one, watch.console)
        watch.console.print(f"Report: {args.model / 'report.html'}", markup=False)
    return 0


def _print_check(check: Check, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (f"{check.method}: control", "value", "95 % interval", "wanted", "passed"):
        table.add_column(Text(name), overflow="fold")
    for one in check.controls:
        if one.value is None:
            table.add_row(Text(one.title), "-", "", Text(f"not asked: {one.why}"), "-")
            continue
        ends = "-" if math.isnan(one.value.low) else f"{one.value.low:.2f} to {one.value.high:.2f}"
        passed = Text("yes", style="green") if one.passed else Text("no", style="bold red")
        table.add_row(Text(one.title), f"{one.value.value:.2f}", ends, Text(one.wanted), passed)
    console.print(table, soft_wrap=False)
    console.print(check.sentence, style="" if not check.failed else "bold yellow", markup=False)


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
            ["" if p.problem else _picture_name(number), p.path, p.frame, p.label or "", *values, p.abstains or "",
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
