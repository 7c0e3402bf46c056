"""How the processor is shared between those who receive and the network."""

from __future__ import annotations

import os
from contextlib import suppress


def take_long_turns() -> None:
    """Have this process, and those that it starts, finish their turns: who wakes up does not cut in on another.

    A receiver that wakes for each piece of an upload would push the network off its core, and its weights out of the
    cache, a thousand times a second. For Linux; elsewhere all stays as it is.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
