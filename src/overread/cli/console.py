"""What a person sees while work goes on: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from overread.cli.terminal import Terminal
from overread.training.history import EpochRow, format_row, header

PLAIN_EVERY_SECONDS = 15.0
"""how often a long stage speaks up where there is no terminal"""


@contextmanager
def loading_torch() -> Iterator[None]:
    """Say on a terminal why nothing happens yet: the imports within take seconds."""
    with Terminal().status("Loading PyTorch"):
        yield


class ConsoleWatcher:
    """Shows sentences, progress with images a second and the time left, and the rows of Table 2 as they come."""

    def __init__(self, console: Console | None = None) -> None:
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it complains of a home that may not be written
        self.console = console or Terminal(soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._began = self._spoke = 0.0
        self._last_epoch: int | None = None

    def __enter__(self) -> ConsoleWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_bar()

    def say(self, sentence: str) -> None:
        """Print one sentence above the bar."""
        self.console.print(sentence, markup=False)

    def mark(self, sentences: Sequence[str]) -> None:
        """Print sentences that a reader must not miss."""
        for sentence in sentences:
            self.console.print(f"! {sentence}", style="bold yellow", markup=False)

    def epoch(self, row: EpochRow, best: bool) -> None:
        """Print a row of Table 2; a star marks the best epoch so far."""
        self._stop_bar()
        if self._last_epoch is None or row.epoch != self._last_epoch + 1:  # the first row of a run
            self.console.print(header() + "  best", style="bold", markup=False)
        self._last_epoch = row.epoch
        self.console.print(format_row(row) + ("     *" if best else ""), markup=False)

    def step(self, what: str, done: int, total: int) -> None:
        """Move the bar of the stage `what`."""
        now = time.monotonic()
        if what != self._what:
            self._stop_bar()
            self._what, self._began, self._spoke = what, now, now
        if self.console.is_terminal:
            self._draw(what, done, total)
        elif now - self._spoke >= PLAIN_EVERY_SECONDS and done < total:
            self._spoke = now
            left = (now - self._began) * (total - done) / max(done, 1)
            self.console.print(f"{what}: {done} of {total}, about {left:.0f} s left", markup=False)
            sys.stdout.flush()
        if done >= total:
            self._stop_bar()

    def _draw(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task(what, total=total, rate="")
            self._bar.start()
        assert self._task is not None
        rate = done / max(time.monotonic() - self._began, 1e-6)
        noun = "patients" if "patients" in what else "images"
        words = f"{rate:.{0 if rate >= 10 else 1}f} {noun}/s" if done else ""
        self._bar.update(self._task, completed=done, rate=words)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
        self._what = ""
