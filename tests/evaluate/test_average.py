from __future__ import annotations

import json
import math

import pytest

from overread.evaluate.average import mean_measured, spread
from overread.stats.intervals import Measured


def figure(value: float, low: float, high: float, *, n: int = 10, patients: int | None = 5) -> Measured:
    return Measured(name="auroc", value=value, low=low, high=high, n_images=n, n_patients=patients, method="DeLong")


def test_a_spread_is_mean_standard_deviation_and_range() -> None:
    found = spread("accuracy", [0.7, 0.8, 0.9])
    assert (found.mean, found.sd, found.lowest, found.highest, found.n) == pytest.approx((0.8, 0.1, 0.7, 0.9, 3))


def test_a_training_without_the_figure_does_not_count() -> None:
    assert spread("auroc", [0.7, math.nan, 0.9]).n == 2
    alone, none = spread("auroc", [0.7]), spread("auroc", [math.nan])
    assert math.isnan(alone.sd)
    assert none.n == 0
    assert json.loads(json.dumps(none.to_json(), allow_nan=False))["mean"] is None


def test_the_mean_of_repeats_keeps_the_ends_of_a_single_one() -> None:
    found = mean_measured([figure(0.7, 0.5, 0.8), figure(0.9, 0.8, 1.0, n=8, patients=4)], of="repeats")
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.65, 0.9))
    assert (found.n_images, found.n_patients) == (8, 4)
    assert found.method == "mean of 2 repeats, and of the ends of their intervals (DeLong)"


def test_one_figure_stays_as_it_is_and_none_is_refused() -> None:
    one = figure(0.7, 0.5, 0.8)
    assert mean_measured([one], of="repeats") is one
    assert mean_measured([one, figure(0.8, 0.7, 0.9, patients=None)], of="seeds").n_patients is None
    with pytest.raises(ValueError, match="no figure"):
        mean_measured([], of="seeds")
