"""What many threads bring at the same time is done in one go, by one of them: a commit for all, and not for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from overread.errors import ServiceError

Given = TypeVar("Given")
Found = TypeVar("Found")
_TOGETHER = 16
"""that are done in one go"""
_PATIENCE_S, _LOOK_S = 0.03, 0.005
"""for how long those who are on their way are waited for, and how often they are looked for"""


@dataclass
class _Waiting(Generic[Given, Found]):
    given: Given
    found: list[Found] = field(default_factory=list)
    fault: BaseException | None = None
    is_done: bool = False
    turn: threading.Event = field(default_factory=threading.Event)
    """set when it is done, and when it is its own thread's turn to do what waits"""


class Gathering(Generic[Given, Found]):
    """Does what is brought. `work`: all that it is given or nothing; it returns what came of each, in order."""

    def __init__(self, work: Callable[[Sequence[Given]], Sequence[Found]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[Given, Found]] = []
        self._is_led = False
        self._n_coming = 0

    def do(self, prepare: Callable[[], Given]) -> Found:
        """Prepare what is to be done, and return what came of it when it is done.

        The others wait a moment for what is being prepared. What goes wrong with one is raised to who brought it.
        """
        with self._lock:
            self._n_coming += 1
        try:
            mine: _Waiting[Given, Found] = _Waiting(prepare())
        except BaseException:
            with self._lock:
                self._n_coming -= 1
            raise
        with self._lock:
            self._n_coming -= 1
            self._waiting.append(mine)
            is_first, self._is_led = not self._is_led, True
        if not is_first:
            mine.turn.wait()
        if not mine.is_done:
            self._lead()
        if mine.fault is not None:
            raise mine.fault
        return mine.found[0]

    def _lead(self) -> None:
        """Do what waits, and hand over to the first of those that have come meanwhile."""
        until = time.monotonic() + _PATIENCE_S
        while self._n_coming and len(self._waiting) < _TOGETHER and time.monotonic() < until:
            time.sleep(_LOOK_S)
        with self._lock:
            group, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
        try:
            self._do(group)
        finally:
            with self._lock:
                self._is_led = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].turn.set()
            for one in group:
                one.is_done = True
                one.turn.set()

    def _do(self, group: Sequence[_Waiting[Given, Found]]) -> None:
        try:
            for one, found in zip(group, self._work([one.given for one in group]), strict=True):
                one.found = [found]
        except ServiceError as fault:  # the store is full or away: for all of them
            for one in group:
                one.fault = ServiceError(str(fault), kind=fault.kind, status=fault.status)
                one.fault.__cause__ = fault.__cause__
        except BaseException as fault:
            if len(group) == 1:
                group[0].fault = fault
            else:  # one of them is at fault, and the others shall not suffer
                for one in group:
                    self._do([one])
