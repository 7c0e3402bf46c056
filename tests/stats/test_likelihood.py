from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats.contingency import relative_risk

from overread.stats.likelihood import likelihood_ratios, predictive_values


def reading(tp: int, fn: int, fp: int, tn: int) -> tuple[np.ndarray, np.ndarray]:
    ill = np.r_[np.ones(tp + fn, bool), np.zeros(fp + tn, bool)]
    called = np.r_[np.arange(tp + fn) < tp, np.arange(fp + tn) < fp]
    return ill, called


@pytest.mark.parametrize("cells", [(90, 10, 20, 80), (5, 3, 1, 40), (30, 1, 29, 2)])
def test_ratios_are_the_relative_risks_of_scipy(cells) -> None:
    tp, fn, fp, tn = cells
    found = likelihood_ratios(*reading(*cells))
    for ours, theirs in (
        (found.positive, relative_risk(tp, tp + fn, fp, fp + tn)),
        (found.negative, relative_risk(fn, tp + fn, tn, fp + tn)),
    ):
        interval = theirs.confidence_interval(0.95)
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.relative_risk, interval.low, interval.high))


def test_an_empty_cell_gets_a_half_and_says_so() -> None:
    found = likelihood_ratios(*reading(20, 0, 0, 30))
    assert found.positive.value == pytest.approx(20.5 / 21 / (0.5 / 31))
    assert found.negative.value == pytest.approx(0.5 / 21 / (30.5 / 31))
    assert found.positive.low < found.positive.value < found.positive.high < math.inf
    assert "a half added" in found.positive.method
    assert "a half added" not in likelihood_ratios(*reading(19, 1, 1, 29)).positive.method


def test_a_reading_that_says_nothing_has_ratios_of_one() -> None:
    found = likelihood_ratios(*reading(30, 30, 50, 50))
    assert (found.positive.value, found.negative.value) == pytest.approx((1, 1))
    assert found.positive.low < 1 < found.positive.high


def test_copies_of_every_image_do_not_narrow_the_interval() -> None:
    ill, called = reading(90, 10, 20, 80)
    once = likelihood_ratios(ill, called)
    patients = np.tile(np.arange(200), 4)
    again = likelihood_ratios(np.tile(ill, 4), np.tile(called, 4), patients)
    assert again.positive.value == pytest.approx(once.positive.value)
    assert again.positive.high / again.positive.low == pytest.approx(once.positive.high / once.positive.low, rel=0.05)
    assert again.positive.n_patients == 200
    assert again.positive.n_images == 800


def test_one_patient_a_side_says_next_to_nothing() -> None:
    found = likelihood_ratios([True] * 5 + [False] * 5, [True] * 5 + [False] * 5, ["a"] * 5 + ["b"] * 5)
    assert found.positive.low < 1 < found.positive.high


@pytest.mark.parametrize("ill", [[True, True], [False, False], []])
def test_a_side_without_images_has_no_ratio(ill) -> None:
    found = likelihood_ratios(ill, [True, False][: len(ill)])
    for one in (found.positive, found.negative):
        assert all(math.isnan(x) for x in (one.value, one.low, one.high))
        assert one.method == "no image of one side"


def test_predictive_values_by_bayes_rule() -> None:
    ratios = likelihood_ratios(*reading(90, 10, 20, 80))
    values = predictive_values(ratios, 0.1)
    assert values.positive.value == pytest.approx(0.9 * 0.1 / (0.9 * 0.1 + 0.2 * 0.9))
    assert values.negative.value == pytest.approx(0.8 * 0.9 / (0.8 * 0.9 + 0.1 * 0.1))
    for one in (values.positive, values.negative):
        assert 0 < one.low < one.value < one.high < 1


def test_predictive_values_at_the_prevalence_of_the_sample_are_its_shares() -> None:
    values = predictive_values(likelihood_ratios(*reading(45, 5, 20, 130)), 50 / 200)
    assert values.positive.value == pytest.approx(45 / 65)
    assert values.negative.value == pytest.approx(130 / 135)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -1.0, math.nan])
def test_a_prevalence_that_is_none_is_refused(prevalence) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        predictive_values(likelihood_ratios(*reading(9, 1, 2, 8)), prevalence)
