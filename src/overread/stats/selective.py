"""What an abstention buys: the errors among the images that a network is surest of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from overread.stats.patients import Floats, equal_weights


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Share of errors among the surest images, as ever more are answered."""

    coverage: Floats
    """(n,) share of the images answered, ascending to 1."""
    risk: Floats
    """(n,) share of those that are wrong."""
    area: float
    """Mean risk over the coverages (AURC), lower is better; an order that knows nothing gives the error rate."""
    best: float
    """The area if every error were less sure than every right answer."""

    @property
    def excess(self) -> float:
        """Area above the best one: how badly certainty tells right from wrong (E-AURC)."""
        return self.area - self.best


def risk_coverage(wrong: ArrayLike, certainty: ArrayLike, patients: Sequence[Any] | None = None) -> RiskCoverage:
    """Risk-coverage curve and its area: Geifman & El-Yaniv (2017); excess area of Geifman et al. (2019).

    wrong: (n,) bool. certainty: (n,) float, such as the largest probability. patients: (n,), each of whom then
    counts the same. Images that are equally sure come in random order, of which the mean is given. ValueError
    without images.
    """
    error, sure = np.asarray(wrong, np.float64), np.asarray(certainty, np.float64)
    if not error.size:
        raise ValueError("no images: there is no curve")
    w = equal_weights(patients, error.size)
    order = np.argsort(-sure, kind="stable")
    group = np.unique(sure, return_inverse=True)[1]
    shared = (np.bincount(group, weights=w * error) / np.bincount(group, weights=w))[group]
    answered = np.cumsum(w[order])
    risk = np.cumsum((w * shared)[order]) / answered
    last = np.argsort(error, kind="stable")
    ideal = np.cumsum((w * error)[last]) / np.cumsum(w[last])
    return RiskCoverage(
        coverage=answered / answered[-1],
        risk=risk,
        area=float(np.average(risk, weights=w[order])),
        best=float(np.average(ideal, weights=w[last])),
    )
