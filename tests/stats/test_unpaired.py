from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from overread.stats.intervals import Measured, wilson
from overread.stats.unpaired import difference


def share(hits: int, n: int) -> Measured:
    low, high = wilson(hits, n)
    return Measured(name="accuracy", value=hits / n, low=low, high=high, n_images=n, n_patients=n, method="")


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20)])
def test_of_shares_it_is_newcombe_s_interval(counts: tuple[int, int, int, int]) -> None:
    found = difference(share(*counts[:2]), share(*counts[2:]))
    assert (found.low, found.high) == pytest.approx(confint_proportions_2indep(*counts, method="newcomb"), abs=1e-9)
    assert found.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])


def test_it_is_the_one_that_newcombe_prints() -> None:
    # Newcombe (1998), table II, method 10: 56/70 - 48/80
    found = difference(share(56, 70), share(48, 80))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_it_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n, truth = 2000, 0.85 - 0.7
    held = 0
    for first, second in zip(rng.binomial(60, 0.85, n), rng.binomial(40, 0.7, n), strict=True):
        found = difference(share(int(first), 60), share(int(second), 40))
        held += found.low <= truth <= found.high
    assert 0.935 <= held / n <= 0.97


def test_a_figure_without_interval_leaves_none() -> None:
    bare = Measured(name="auroc", value=0.8, low=math.nan, high=math.nan, n_images=3, n_patients=3, method="")
    found = difference(bare, share(5, 10))
    assert found.value == pytest.approx(0.3)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.is_above_zero
