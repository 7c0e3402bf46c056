"""How far two figures lie apart that were measured on different images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from overread.stats.intervals import Measured


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure less another, with its 95 % interval; nan where one of them has none."""

    value: float
    low: float
    high: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the first figure is higher by more than chance."""
        return self.low > 0

    def __str__(self) -> str:
        return f"{self.value:+.2f}, {self.low:+.2f} to {self.high:+.2f}"


def difference(first: Measured, second: Measured) -> Difference:
    """First less second, its interval from theirs: Newcombe (1998), method 10; Zou & Donner (2008) for any figure.

    Assumes that the two were measured apart. Where they share patients, the interval is rather too wide.
    """
    gap = first.value - second.value
    return Difference(
        value=gap,
        low=gap - math.hypot(first.value - first.low, second.high - second.value),
        high=gap + math.hypot(first.high - first.value, second.value - second.low),
    )
