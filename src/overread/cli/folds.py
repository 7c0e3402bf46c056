"""A cross-validation as it is told at the end: a row a fold, then what they come to together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from overread.cli.outcome import above_interval
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.score import TITLES, notes
from overread.run.fold_files import FOLDS, words

if TYPE_CHECKING:
    from overread.run.folds import CrossValidation, Fold


def print_folds(found: CrossValidation, *, out: Path, console: Console) -> None:
    """Print the table of the folds, or of the sites, and the sentences that it cannot be read without."""
    names = [one.name for one in found.spreads]
    table = Table(box=box.SIMPLE_HEAD, title=_title(found), title_justify="left", title_style="bold", pad_edge=False)
    table.add_column(found.kind, overflow="fold")
    for heading in ("images", "patients", *("\n".join(TITLES[name].split()) for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for fold in found.folds:
        score = fold.outcome.score
        cells = [above_interval(score.figure(name)) for name in names]
        table.add_row(Text(_called(fold, found)), *_counted(score.n_images, score.n_patients), *cells)
    table.add_section()
    whole, pooled = found.repeats[0], {one.name: one for one in found.pooled if one.label is None}
    cells = [above_interval(pooled[name]) for name in names]
    table.add_row("pooled", *_counted(whole.n_images, whole.n_patients), *cells, style="bold")
    for title, values in (
        (f"mean of {found.kind}s", [one.mean for one in found.spreads]),
        (f"sd of {found.kind}s", [one.sd for one in found.spreads]),
    ):
        table.add_row(title, "", "", *("-" if math.isnan(value) else f"{value:.3f}" for value in values))
    console.print(table)
    console.print("Below each figure its 95 % interval.", markup=False)
    for sentence in (*words(found), *notes(whole)):
        console.print(sentence, markup=False)
    for mark in found.marks:
        console.print(f"! {mark}", style="bold yellow", markup=False)
    console.print(f"Every prediction: {out / PREDICTIONS}    every figure: {out / FOLDS}", markup=False)


def _title(found: CrossValidation) -> str:
    n_repeats = len(found.repeats)
    what = f"{len(found.folds) // n_repeats} {found.kind}s" + (f", {n_repeats} times" * (n_repeats > 1))
    return f"{'Cross-validation' if found.kind == 'fold' else 'Each site tested by the others'}: {what}."


def _called(fold: Fold, found: CrossValidation) -> str:
    return fold.held_out + (f", repeat {fold.repeat}" * (len(found.repeats) > 1))


def _counted(n_images: int, n_patients: int | None) -> tuple[str, str]:
    return str(n_images), "unknown" if n_patients is None else str(n_patients)
