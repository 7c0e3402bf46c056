"""What workers of Ray tell, and the person who waits for it: a box in Ray that one fills and the other empties."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from overread.errors import OverreadError
from overread.training.history import EpochRow
from overread.training.watch import Watcher

EVERY_SECONDS = 1.0


class Box:
    """Holds what was told until it is taken; an actor of Ray."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    def put(self, name: str, *words: Any) -> None:
        """Keep one call of a watcher, or the words of a refusal."""
        self.told.append((name, words))

    def take(self) -> list[tuple[str, tuple[Any, ...]]]:
        """All that was told since the last time."""
        told, self.told = self.told, []
        return told


class Teller:
    """A watcher in a worker: tells it on."""

    def __init__(self, box: Any) -> None:
        self._box, self._spoke = box, 0.0

    def say(self, sentence: str) -> None:
        """Tell one sentence on."""
        self._put("say", sentence)

    def mark(self, sentences: Sequence[str]) -> None:
        """Tell sentences on."""
        self._put("mark", tuple(sentences))

    def step(self, what: str, done: int, total: int) -> None:
        """Tell progress on, once a second."""
        if done >= total or time.monotonic() - self._spoke > EVERY_SECONDS:
            self._spoke = time.monotonic()
            self._put("step", what, done, total)

    def epoch(self, row: EpochRow, best: bool) -> None:
        """Tell an epoch on."""
        self._put("epoch", row, best)

    def give(self, made: object) -> None:
        """Hand over what has come of the work."""
        self._put("give", made)

    def refuse(self, refusal: OverreadError) -> None:
        """Tell why it cannot be done: to do it again would not help."""
        self._put("refuse", refusal)

    def _put(self, name: str, *words: Any) -> None:
        import ray

        ray.get(self._box.put.remote(name, *words))  # in its order, and before the worker may end


def told_on(work: Callable[[Any], None], watch: Watcher) -> list[Any]:
    """Do work that fills a box, and tell a watcher meanwhile what comes into it; returns what was given.

    Raises what a worker has refused.
    """
    import ray

    box = ray.remote(num_cpus=0, max_restarts=-1)(Box).remote()
    kept: dict[str, list[Any]] = {"give": [], "refuse": []}

    def empty() -> None:
        for name, words in ray.get(box.take.remote()):
            if name in kept:
                kept[name].append(words[0])
            else:
                getattr(watch, name)(*words)

    with ThreadPoolExecutor(1) as thread:
        doing = thread.submit(work, box)
        while not doing.done():
            time.sleep(EVERY_SECONDS / 5)
            empty()
    empty()
    if kept["refuse"]:
        raise kept["refuse"][0]
    doing.result()
    return kept["give"]
