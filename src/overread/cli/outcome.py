"""How a finished run, or several, are told at the end: tables, warnings, and where to look."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overread.evaluate.score import BRIEF, TABLE_HEADINGS, TITLES, Score, as_table, notes
from overread.model import bundle
from overread.run.job import RECORD

if TYPE_CHECKING:
    from overread.evaluate.second_read import SecondRead
    from overread.evaluate.verdict import Verdict
    from overread.run.outputs import Outcome
    from overread.stats.intervals import Measured

_VERDICT_STYLES = {"do not": "bold red", "with care": "bold yellow", "good": "bold green"}
SIDE_BY_SIDE = ("accuracy", "balanced_accuracy", "auroc", "f1")


def print_outcome(outcome: Outcome, *, console: Console, image: Path | None = None) -> None:
    """The test figures, the warnings that go with them, and one command to try next (on `image`)."""
    table = new_table(f"Test part: {_counted(outcome.score)}. Best epoch: {outcome.card.best_epoch}.")
    for heading in TABLE_HEADINGS:
        table.add_column(heading, justify="left" if heading in ("figure", "class") else "right")
    for row in as_table(outcome.score, BRIEF):
        table.add_row(*map(Text, row))
    console.print(table)
    for sentence in notes(outcome.score):
        console.print(sentence, markup=False)
    _print_marks(outcome.card.marks, console)
    if outcome.verdict is not None:
        print_verdict(outcome.verdict, console=console)
    folder = outcome.folder
    console.print(f"Report: {folder / 'report.html'}    pictures: {folder / 'figures'}", markup=False)
    shown = shlex.quote(str(image)) if image else "YOUR_IMAGE"
    console.print(f"Next: overread predict {shlex.quote(str(folder))} {shown}", markup=False)


def print_read(read: SecondRead, *, folder: Path, console: Console) -> None:
    """The verdict first, then the figures; beside those of the model's own cohort where there are such."""
    print_verdict(read.verdict, console=console)
    table = new_table(f"{read.part.capitalize()} part: {_counted(read.score)}.")
    headings = [*TABLE_HEADINGS[:2], *(("at home", "here") if read.internal else ("value",)), *TABLE_HEADINGS[3:]]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("figure", "class") else "right")
    home = {} if read.internal is None else {(m.name, m.label): m for m in read.internal.measured}
    shown = [m for m in read.score.measured if m.name in BRIEF]
    for m, row in zip(shown, as_table(read.score, BRIEF), strict=True):
        before = [f"{home[m.name, m.label].value:.3f}"] if (m.name, m.label) in home else [""] if home else []
        table.add_row(*map(Text, [*row[:2], *before, *row[2:]]))
    console.print(table)
    for sentence in notes(read.score):
        console.print(sentence, markup=False)
    _print_marks(read.marks, console)
    console.print(f"Report: {folder / 'report.html'}", markup=False)


def print_verdict(verdict: Verdict, *, console: Console) -> None:
    """Whether to believe it, and the three reasons that decide."""
    console.print(f"{verdict.words}:", style=_VERDICT_STYLES[verdict.grade], markup=False)
    for number, reason in enumerate(verdict.deciding, start=1):
        console.print(f"  {number}. {reason.text}", markup=False)


def print_several(outcomes: dict[str, Outcome], *, table_file: Path, console: Console, spread: bool) -> None:
    """Two lines a run, figures above their intervals; with `spread`, the median and the range over the runs."""
    first = next(iter(outcomes.values()))
    names = [name for name in SIDE_BY_SIDE if name in first.figures()]
    sizes = {_counted(outcome.score) for outcome in outcomes.values()}
    table = new_table(f"Test part{'s' * (len(sizes) > 1)}: {' or '.join(sorted(sizes))}.")
    table.add_column("run", overflow="fold")
    for heading in ("best\nepoch", "best val\naccuracy", *("\n".join(TITLES[name].split()) for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, outcome in outcomes.items():
        cells = [above_interval(outcome.score.figure(figure)) for figure in names]
        table.add_row(Text(name), str(outcome.card.best_epoch), f"{outcome.best_val_accuracy:.3f}", *cells)
    if spread:
        columns = [[o.best_val_accuracy for o in outcomes.values()]]
        columns += [[o.figures()[name] for o in outcomes.values()] for name in names]
        for title, summary in (("median", statistics.median), ("lowest", min), ("highest", max)):
            table.add_row(title, "", *(f"{summary(values):.3f}" for values in columns), style="bold")
    console.print(table)
    console.print("Below each figure its 95 % interval.", markup=False)
    for sentence in notes(first.score):
        console.print(sentence, markup=False)
    _print_marks(first.card.marks, console)
    console.print(f"Every figure: {table_file}", markup=False)


def new_table(title: str) -> Table:
    """An empty table, its title in bold on the left."""
    return Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)


def _counted(score: Score) -> str:
    return f"{score.n_images} images, " + (
        "patients unknown" if score.n_patients is None else f"{score.n_patients} patients"
    )


def above_interval(figure: Measured) -> str:
    """A cell of two lines: the value, and its interval below."""
    interval = "-" if math.isnan(figure.low) else f"{figure.low:.3f}-{figure.high:.3f}"
    return f"{figure.value:.3f}\n{interval}"


def _print_marks(marks: Sequence[str], console: Console) -> None:
    for mark in marks:
        console.print(f"! {mark}", style="bold yellow", markup=False)


@contextmanager
def told_how_to_go_on(folder: Path) -> Iterator[None]:
    """On Ctrl-C, add to the interrupt what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        name = shlex.quote(str(folder))
        if not (folder / RECORD).exists():
            raise KeyboardInterrupt("stopped before the training had begun; nothing is kept.") from None
        words = "stopped before the first epoch had ended."
        if (folder / bundle.WEIGHTS).exists():
            words = (
                f"stopped. The best epoch so far is kept in {folder / bundle.WEIGHTS}.\n"
                f"Test it as it is: overread train --resume {name} --finish"
            )
        raise KeyboardInterrupt(f"{words}\nGo on:            overread train --resume {name}") from None


@contextmanager
def told_to_repeat(folder: Path) -> Iterator[None]:
    """On Ctrl-C among several runs, add to the interrupt that the same command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped. The same command, with --out {shlex.quote(str(folder))}, keeps what has ended "
            "and does what is left."
        ) from None
