"""What each phase of a training is fed with: whatever lies below the layers that learn is run once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from overread.training.cut import cut
from overread.training.machine import Machine
from overread.training.sources import Kept, Pixels, Source
from overread.training.watch import Watcher


@dataclass(frozen=True, kw_only=True)
class Fed:
    """A network, or the part of it that learns, and what it is fed with."""

    network: nn.Module
    train: Source
    val: Source


@dataclass(frozen=True, kw_only=True)
class _Below:
    """What lies below the stage `first`, run once."""

    first: int
    rest: nn.Module
    train: Kept
    val: Kept


class Feeder:
    """Runs the frozen stages of a network once for each depth that is asked for; keeps those of one depth."""

    def __init__(
        self,
        network: nn.Module,
        train: Pixels,
        val: Pixels,
        *,
        machine: Machine,
        folder: Path,
        seed: int,
        watch: Watcher,
    ) -> None:
        self._whole = Fed(network=network, train=train, val=val)
        self._pixels = train, val
        self._machine, self._folder, self._seed, self._watch = machine, folder, seed, watch
        self._below: _Below | None = None

    def feed(self, first: int, *, n_views: int, at_most: int | None = None) -> Fed:
        """What the stages from `first` on are fed with; those below must not learn now.

        n_views: of each training image. at_most: to make room for more views than are wanted by now. Where nothing
        can be kept, for want of a cut or of room on the disk, it is the whole network and the images.
        """
        below = self._find(first, at_most or n_views)
        if below is None:
            return self._whole
        for kept, of in ((below.train, "training"), (below.val, "validation")):
            kept.fill(n_views, seed=self._seed, watch=self._watch, what=f"frozen stages, {of} part")
        return Fed(network=below.rest, train=below.train, val=below.val)

    def _find(self, first: int, n_views: int) -> _Below | None:
        if self._below is not None and self._below.first == first:
            return self._below
        self._below = None
        halves = cut(self._whole.network) if first else None
        if halves is None:
            return None
        train, val = (
            Kept(halves.before, pixels, n_views=n_views, machine=self._machine, folder=self._folder)
            for pixels in self._pixels
        )
        if not train.fits() or not val.fits():
            self._watch.say(
                f"What the frozen stages give would take {(train.n_bytes + val.n_bytes) / 1e9:.1f} GB on the disk, "
                "which has no room for it: they are run anew in each epoch."
            )
            return None
        self._below = _Below(first=first, rest=halves.after, train=train, val=val)
        return self._below
