"""How a finished run, or several, are told at the end: tables, warnings, and where to look."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overread.evaluate.score import TABLE_HEADINGS, as_table
from overread.model import bundle

if TYPE_CHECKING:
    from overread.run.outputs import Outcome

SPREAD_FIGURES = ("accuracy", "balanced_accuracy", "auroc", "f1")


def print_outcome(outcome: Outcome, *, console: Console, image: Path | None = None) -> None:
    """The test figures, the warnings that go with them, and one command to try next (on `image`)."""
    score = outcome.score
    patients = "patients unknown" if score.n_patients is None else f"{score.n_patients} patients"
    table = Table(
        title=f"Test part: {score.n_images} images, {patients}. Best epoch: {outcome.card.best_epoch}.",
        title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False,
    )  # fmt: skip
    for heading in TABLE_HEADINGS:
        table.add_column(heading, justify="left" if heading in ("figure", "class") else "right")
    for row in as_table(score):
        table.add_row(*map(Text, row))
    console.print(table)
    for mark in outcome.card.marks:
        console.print(f"! {mark}", style="bold yellow", markup=False)
    folder = outcome.folder
    console.print(f"Model folder: {folder}    pictures: {folder / 'figures'}", markup=False)
    console.print(f"Next: overread predict {folder} {image or 'YOUR_IMAGE'}", markup=False)


def print_several(outcomes: dict[str, Outcome], *, table_file: Path, console: Console, spread: bool) -> None:
    """A line a run; with `spread`, the median and the range over the runs below them."""
    first = next(iter(outcomes.values()))
    names = [name for name in SPREAD_FIGURES if name in first.figures()]
    patients = "patients unknown" if first.score.n_patients is None else f"{first.score.n_patients} patients"
    table = Table(
        title=f"Test part ({first.score.n_images} images, {patients}) 95 % intervals. Validation: the best epoch",
        title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False,
    )  # fmt: skip
    table.add_column("run")
    table.add_column("best epoch", justify="right")
    for name in ("val accuracy", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for name, outcome in outcomes.items():
        figures = [str(outcome.score.figure(figure)) for figure in names]
        table.add_row(Text(name), str(outcome.card.best_epoch), f"{outcome.best_val_accuracy:.3f}", *figures)
    if spread:
        columns = [[o.best_val_accuracy for o in outcomes.values()]]
        columns += [[o.figures()[name] for o in outcomes.values()] for name in names]
        table.add_section()
        for title, summary in (("median", statistics.median), ("lowest", min), ("highest", max)):
            table.add_row(title, "", *(f"{summary(values):.3f}" for values in columns), style="bold")
    console.print(table)
    for mark in first.card.marks:
        console.print(f"! {mark}", style="bold yellow", markup=False)
    console.print(f"Every figure: {table_file}", markup=False)


@contextmanager
def told_how_to_go_on(folder: Path) -> Iterator[None]:
    """On Ctrl-C, say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        if (folder / bundle.WEIGHTS).exists():
            console.print(f"\nStopped. The best epoch so far is kept in {folder / bundle.WEIGHTS}.", markup=False)
            console.print(f"Test it as it is: overread train --resume {folder} --finish", markup=False)
        else:
            console.print("\nStopped before the first epoch had ended.", markup=False)
        console.print(f"Go on:            overread train --resume {folder}", markup=False)
        raise
