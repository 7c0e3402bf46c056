"""What a change of a network costs: its figures before and after on the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from overread.evaluate.measure import Sample
from overread.stats import metrics
from overread.stats.intervals import Measured, patient_bootstrap

METHOD = "BCa bootstrap by {}, both networks on the same draws"


def auroc_lost(
    truth: NDArray[np.int64],
    before: metrics.Floats,
    after: metrics.Floats,
    patients: Sequence[str | None],
    *,
    classes: Sequence[str],
    part: str,
    rng: np.random.Generator,
) -> Measured:
    """How much lower the AUROC is after than before, the mean over classes; below 0 where it is higher.

    truth: (n,) int64. before, after: probabilities (n, k). patients: (n,). nan where a class is missing.
    """
    sample = Sample(truth, before, patients, classes=classes, positive=len(classes) - 1, part=part)

    def statistic(weights: metrics.Floats) -> metrics.Floats:
        first, second = (metrics.auroc_macro(truth, scores, weights=weights) for scores in (before, after))
        return np.atleast_2d(np.asarray(first) - np.asarray(second)).T

    low, high = patient_bootstrap(statistic, sample.unit_of, sample.strata(), rng=rng)
    return sample.measured(
        "auroc lost",
        None,
        value=float(statistic(np.ones((1, truth.size)))[0, 0]),
        ends=(float(low[0]), float(high[0])),
        among=sample.all,
        method=METHOD.format(sample.noun),
    )
