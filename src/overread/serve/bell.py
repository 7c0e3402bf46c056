"""Tells those who wait for images that these have been answered."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterable

_MOST_KEPT = 10_000
"""images of which it is known that they were answered: who asks a moment later hears it at once"""


class Bell:
    """Rung by the thread that predicts; heard by requests, each for its own images."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Call]] = {}
        self._rung: OrderedDict[str, None] = OrderedDict()

    def ring(self, images: Iterable[str]) -> None:
        """Say that these images (by UID) have been answered."""
        images = list(images)
        with self._lock:
            calls = [call for image in images for call in self._waiting.pop(image, [])]
            self._rung.update(dict.fromkeys(images))
            while len(self._rung) > _MOST_KEPT:
                self._rung.popitem(last=False)
        for call in calls:
            call.one_less()

    def call_for(self, images: Iterable[str]) -> asyncio.Event:
        """An event of the running loop that is set once all these images have been answered."""
        loop = asyncio.get_running_loop()
        with self._lock:
            wanted = {image for image in images if image not in self._rung}  # `-` would go through all that rang
            call = _Call(loop, len(wanted))
            for image in wanted:
                self._waiting.setdefault(image, []).append(call)
        if not wanted:
            call.event.set()
        return call.event

    def forget(self, images: Iterable[str], event: asyncio.Event) -> None:
        """Wait for these images no longer."""
        with self._lock:
            for image in images:
                left = [call for call in self._waiting.get(image, []) if call.event is not event]
                if left:
                    self._waiting[image] = left
                else:
                    self._waiting.pop(image, None)


class _Call:
    def __init__(self, loop: asyncio.AbstractEventLoop, n: int) -> None:
        self.loop, self.n, self.event = loop, n, asyncio.Event()

    def one_less(self) -> None:
        self.n -= 1
        if self.n == 0 and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.event.set)
