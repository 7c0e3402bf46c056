"""What a long piece of work tells whoever watches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from overread.training.history import EpochRow


class Watcher(Protocol):
    """Someone who is told how the work goes: the command line's progress bar, or nobody."""

    def say(self, sentence: str) -> None:
        """Hear one sentence that a person should read."""

    def mark(self, sentences: Sequence[str]) -> None:
        """Hear sentences that every reader of the result must see."""

    def step(self, what: str, done: int, total: int) -> None:
        """Hear that `done` of `total` images of the stage `what` are through."""

    def epoch(self, row: EpochRow, best: bool) -> None:
        """Hear the figures of an epoch that has ended, and whether it is the best so far."""


class Silent:
    """A watcher that does nothing."""

    def say(self, sentence: str) -> None:
        """Hear one sentence, and keep it."""

    def mark(self, sentences: Sequence[str]) -> None:
        """Hear sentences, and keep them."""

    def step(self, what: str, done: int, total: int) -> None:
        """Hear of progress, and keep it."""

    def epoch(self, row: EpochRow, best: bool) -> None:
        """Hear of an epoch, and keep it."""
