from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_1samp

from overread.stats.intervals import wilson
from overread.stats.means import measured_mean, measured_share, most, share


def test_one_image_a_patient_is_plain_wilson() -> None:
    hits = np.arange(40) < 27
    for patients in (None, [f"p{i}" for i in range(40)]):
        found = measured_share("accuracy", hits, patients)
        assert (found.low, found.high) == wilson(27, 40)
        assert found.value == 27 / 40


def test_copies_of_an_image_add_nothing_but_a_wider_quantile() -> None:
    hits, patients = np.arange(40) < 27, np.arange(40)
    found = share(np.tile(hits, 3), np.tile(patients, 3))
    # the variance between patients is estimated with 39 / 40 of the weight that the binomial gives it
    expected = 40 * 39 / 40 * (t.ppf(0.975, 119) / t.ppf(0.975, 39)) ** 2
    assert found.size == pytest.approx(expected)
    assert found.n_images == 120
    assert found.n_patients == 40


def test_design_effect_by_hand() -> None:
    # patients of 2, 1 and 1 images; the two of one are right
    hits, patients = [True, True, False, False], ["a", "a", "b", "c"]
    sums = np.array([1, -0.5, -0.5]) / 4
    variance = 3 / 2 * (sums @ sums)
    size = 0.5 * 0.5 / variance * (t.ppf(0.975, 3) / t.ppf(0.975, 2)) ** 2
    assert share(hits, patients).size == pytest.approx(size)


def test_images_alike_within_patients_widen_the_interval_and_unlike_ones_do_not_narrow_it() -> None:
    alike = np.repeat(np.arange(30) < 20, 4)
    unlike = np.tile([True, False], 60)
    patients = np.repeat(np.arange(30), 4)
    assert share(alike, patients).size < 30
    assert 110 < share(unlike, patients).size <= 120


def test_each_patient_once_is_the_mean_of_their_own_shares() -> None:
    hits, patients = [True, True, True, False, False], ["a", "a", "a", "a", "b"]
    assert share(hits, patients, each_patient_once=True).value == pytest.approx((3 / 4 + 0) / 2)
    assert share(hits, patients).value == pytest.approx(3 / 5)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_agree_the_patients_are_what_counts(right) -> None:
    hits, patients = np.full(120, right), np.repeat(np.arange(30), 4)
    found = measured_share("accuracy", hits, patients)
    assert (found.low, found.high) == pytest.approx(wilson(30 * right, 30))


def test_one_patient_is_one_trial() -> None:
    found = measured_share("accuracy", [True] * 8, ["a"] * 8)
    assert (found.low, found.high) == pytest.approx(wilson(1, 1))
    assert measured_share("accuracy", [True, False] * 4, ["a"] * 8).low < 0.1


def test_nothing_has_no_share() -> None:
    for found in (measured_share("accuracy", [], []), measured_share("accuracy", [])):
        assert all(math.isnan(x) for x in (found.value, found.low, found.high))
        assert found.method == "no image"


def test_mean_is_that_of_scipy() -> None:
    x = np.random.default_rng(0).normal(3, 1, 25)
    found, theirs = measured_mean("size", x, np.arange(25)), ttest_1samp(x, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    copied = measured_mean("size", np.tile(x, 2), np.tile(np.arange(25), 2))
    assert (copied.low, copied.high) == pytest.approx((theirs.low, theirs.high))


def test_mean_over_patients_counts_each_once() -> None:
    found = measured_mean("size", [1, 1, 1, 3], ["a", "a", "a", "b"], each_patient_once=True)
    theirs = ttest_1samp([1, 3], 0).confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx((2, theirs.low, theirs.high))


def test_a_mean_without_spread_claims_no_certainty() -> None:
    same = measured_mean("size", [1, 1, 1], ["a", "b", "c"])
    assert same.value == 1
    assert math.isnan(same.low)
    assert "all are the same" in same.method
    one = measured_mean("size", [1, 2], ["a", "a"])
    assert one.value == 1.5
    assert math.isnan(one.low)
    assert "one patient" in one.method
    assert math.isnan(measured_mean("size", [], []).value)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (19, 20), (20, 20), (5, 500)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_largest_believable_share_is_that_of_scipy(k, n, confidence) -> None:
    theirs = binomtest(k, n, alternative="less").proportion_ci(confidence, method="exact").high
    assert most(k, n, confidence=confidence) == pytest.approx(theirs)


def test_rule_of_three() -> None:
    assert most(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert most(0, 0) == 1
