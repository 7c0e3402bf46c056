"""One figure from several trainings: its mean over them, and how far they lie apart."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overread.stats.intervals import Measured


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over several trainings. No interval: their training parts overlap."""

    name: str
    mean: float
    sd: float
    """nan for fewer than two"""
    lowest: float
    highest: float
    n: int
    """trainings that have the figure"""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no nan: None stands for it."""
        values = dataclasses.asdict(self)
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()
        }


def spread(name: str, values: Sequence[float]) -> Spread:
    """Mean, standard deviation and range; trainings without the figure (nan) do not count.

    The spread over the folds of a cross-validation is no standard error: nothing computed from the folds alone is,
    as they share their training patients (Bengio & Grandvalet 2004).
    """
    known = [value for value in values if not math.isnan(value)]
    return Spread(
        name=name,
        mean=statistics.fmean(known) if known else math.nan,
        sd=statistics.stdev(known) if len(known) > 1 else math.nan,
        lowest=min(known, default=math.nan),
        highest=max(known, default=math.nan),
        n=len(known),
    )


def mean_measured(figures: Sequence[Measured], *, of: str) -> Measured:
    """The mean of one figure over repeats of the same work, on the same patients or on others of the same cohort.

    `of` names what was repeated ("seeds"). Low and high are the means of those of each repeat: the interval of a
    single one, and so a little too wide for their mean. A single figure stays as it is; ValueError for none.
    """
    if not figures:
        raise ValueError("there is no figure to take the mean of")
    first = figures[0]
    if len(figures) == 1:
        return first
    patients = [one.n_patients for one in figures if one.n_patients is not None]
    return dataclasses.replace(
        first,
        value=statistics.fmean(one.value for one in figures),
        low=statistics.fmean(one.low for one in figures),
        high=statistics.fmean(one.high for one in figures),
        n_images=min(one.n_images for one in figures),
        n_patients=min(patients) if len(patients) == len(figures) else None,
        method=f"mean of {len(figures)} {of}, and of the ends of their intervals ({first.method})",
    )
