from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import skew, t

from overread.stats import metrics
from overread.stats.intervals import delong
from overread.stats.jackknife import patient_jackknife


def mean_of(values):
    return lambda weights: (weights @ values / weights.sum(1))[:, None]


def area_of(ill, scores):
    return lambda weights: metrics.auroc(ill, scores, weights=weights)[:, None]


def case(seed: int, n: int = 40, images: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n), images)
    ill = codes % 2 == 0
    return ill, 1.5 * ill + 0.8 * rng.normal(size=n)[codes] + 0.6 * rng.normal(size=codes.size), codes


def test_a_mean_has_its_textbook_variance_and_degrees() -> None:
    x = np.random.default_rng(0).exponential(size=25)
    found = patient_jackknife(mean_of(x), np.arange(25), np.zeros(25, int))
    assert found.value == pytest.approx([x.mean()])
    assert found.variance == pytest.approx([x.var(ddof=1) / 25])
    assert found.degrees == pytest.approx([24])
    assert found.acceleration == pytest.approx([skew(x) / 6 / math.sqrt(25)])
    assert found.reach() == pytest.approx([math.sqrt(25 / 24) * t.ppf(0.975, 24)])


def test_the_difference_of_two_groups_has_welchs_degrees() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), 3 * rng.normal(size=30)
    second, values = np.arange(42) >= 12, np.r_[a, b]

    def difference(weights):
        top = [(weights * side) @ values / (weights * side).sum(1) for side in (second, ~second)]
        return (top[0] - top[1])[:, None]

    found = patient_jackknife(difference, np.arange(42), second.astype(int))
    va, vb = a.var(ddof=1) / 12, b.var(ddof=1) / 30
    assert found.variance == pytest.approx([va + vb])
    assert found.degrees == pytest.approx([(va + vb) ** 2 / (va**2 / 11 + vb**2 / 29)])


@pytest.mark.parametrize("images", [1, 3])
def test_the_variance_of_an_area_is_about_that_of_delong(images) -> None:
    ill, scores, codes = case(2, 60, images)
    found = patient_jackknife(area_of(ill, scores), codes, np.arange(60) % 2)
    area, variance = delong(ill, scores, codes)
    assert found.value == pytest.approx([area])
    assert found.variance == pytest.approx([variance], rel=0.05)


def test_the_interval_lies_on_the_log_odds() -> None:
    ill, scores, codes = case(3)
    found = patient_jackknife(area_of(ill, scores), codes, np.arange(40) % 2)
    low, high = found.logit_interval()
    a = found.value
    half = t.ppf(0.975, found.degrees) * np.sqrt(found.variance) / (a * (1 - a))
    assert (low, high) == (pytest.approx(expit(logit(a) - half)), pytest.approx(expit(logit(a) + half)))
    assert 0 < low < a < high < 1


def test_copies_of_every_image_add_nothing() -> None:
    ill, scores, codes = case(4)
    once = patient_jackknife(area_of(ill, scores), codes, np.arange(40) % 2)
    again = patient_jackknife(area_of(np.tile(ill, 3), np.tile(scores, 3)), np.tile(codes, 3), np.arange(40) % 2)
    assert again.logit_interval() == (
        pytest.approx(once.logit_interval()[0]),
        pytest.approx(once.logit_interval()[1]),
    )


def test_what_does_not_vary_has_no_interval_this_way() -> None:
    ill = np.arange(20) < 10
    perfect = patient_jackknife(area_of(ill, ill), np.arange(20), ill.astype(int))
    assert perfect.variance == pytest.approx([0])
    assert perfect.degrees == pytest.approx([math.inf])
    assert perfect.reach() == pytest.approx([1.959964])
    assert np.isnan(perfect.logit_interval()).all()
    same = patient_jackknife(area_of(ill, np.zeros(20)), np.arange(20), ill.astype(int))
    assert np.isnan(same.logit_interval()).all()


def test_rounding_is_not_taken_for_spread() -> None:
    x = np.full(21, 0.1)  # ten times a tenth is not quite 1
    found = patient_jackknife(mean_of(x), np.arange(21), np.zeros(21, int))
    assert found.variance == 0
    assert np.isnan(found.logit_interval()).all()


def test_one_patient_in_a_stratum_shows_no_spread() -> None:
    x = np.array([1.0, 2.0, 4.0, 9.0])
    found = patient_jackknife(mean_of(x), np.arange(4), np.array([0, 0, 0, 1]))
    assert np.isfinite(found.variance).all()
    assert found.degrees == pytest.approx([2])


def test_a_figure_that_needs_a_patient_does_not_break_the_others() -> None:
    ill = np.array([True, False, False, False])
    found = patient_jackknife(area_of(ill, np.array([3.0, 1, 2, 4])), np.arange(4), np.array([1, 0, 0, 0]))
    assert np.isnan(found.influence[-1])
    assert np.isfinite(found.variance).all()


def test_many_patients_are_left_out_together_and_agree() -> None:
    rng = np.random.default_rng(5)
    x = rng.exponential(size=6000)
    seen = []

    def statistic(weights):
        seen.append(len(weights))
        return mean_of(x)(weights)

    found = patient_jackknife(statistic, np.arange(6000), np.r_[np.zeros(5950, int), np.ones(50, int)])
    assert sum(seen) < 1100
    assert found.variance == pytest.approx([x.var() / 6000], rel=0.15)
    assert found.acceleration == pytest.approx([skew(x) / 6 / math.sqrt(6000)], abs=0.01)
    assert np.bincount(found.strata).tolist() == [991, 20]
