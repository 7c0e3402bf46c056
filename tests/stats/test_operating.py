from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_curve

from overread.stats.operating import (
    average_precision_by_class,
    decision_curve,
    reaching_sensitivity,
    reaching_specificity,
    youden,
)

ILL = np.array([False, False, False, True, False, True, True])
SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])


def case(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties."""
    rng = np.random.default_rng(seed)
    ill = np.r_[True, False, rng.random(n - 2) < 0.4]
    return ill, np.round(rng.normal(size=n) + 1.2 * ill, 1)


def at(threshold: float, ill: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    called = score >= threshold
    return float(called[ill].mean()), float((~called[~ill]).mean())


def test_youden_by_hand() -> None:
    # 0.4: 1 + 3/4; 0.6: 2/3 + 1
    point = youden(ILL, SCORE)
    assert (point.threshold, point.sensitivity, point.specificity) == (0.4, 1.0, 0.75)


@pytest.mark.parametrize("seed", range(5))
def test_youden_is_the_top_of_scikit_learns_curve(seed) -> None:
    ill, score = case(seed)
    alarms, found, _ = roc_curve(ill, score)
    point = youden(ill, score)
    assert point.sensitivity + point.specificity - 1 == pytest.approx((found - alarms).max())
    assert (point.sensitivity, point.specificity) == pytest.approx(at(point.threshold, ill, score))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", [0.0, 0.5, 0.9, 1.0])
def test_a_target_is_reached_and_the_next_threshold_would_not(seed, target) -> None:
    ill, score = case(seed)
    steps = np.r_[np.unique(score), math.inf]
    high = reaching_sensitivity(ill, score, target)
    assert at(high.threshold, ill, score)[0] == pytest.approx(high.sensitivity)
    assert high.sensitivity >= target
    assert all(at(step, ill, score)[0] < target for step in steps[steps > high.threshold])
    low = reaching_specificity(ill, score, target)
    assert at(low.threshold, ill, score)[1] == pytest.approx(low.specificity)
    assert low.specificity >= target
    assert all(at(step, ill, score)[1] < target for step in steps[steps < low.threshold])


def test_a_target_that_rounding_just_misses_is_reached() -> None:
    patients = [i // 3 for i in range(30)]  # thirds do not add up to 1 in binary
    ill = np.arange(30) >= 15
    assert reaching_sensitivity(ill, np.linspace(0, 1, 30), 0.2, patients).sensitivity == pytest.approx(0.2)


def test_patients_with_many_images_do_not_move_the_threshold() -> None:
    ill, score = case(1)
    copies = np.r_[np.arange(80), np.full(50, 7), np.full(30, 11)]
    assert youden(ill[copies], score[copies], copies).threshold == youden(ill, score).threshold
    assert youden(ill[copies], score[copies], copies).sensitivity == pytest.approx(youden(ill, score).sensitivity)


def test_a_perfect_score_is_split_in_between() -> None:
    point = youden([False, False, True], [0.1, 0.2, 0.9])
    assert (point.threshold, point.sensitivity, point.specificity) == (0.9, 1, 1)


def test_a_score_that_is_the_same_for_all_calls_all_or_none() -> None:
    assert youden([True, False], [0.5, 0.5]).threshold == 0.5
    assert reaching_specificity([True, False], [0.5, 0.5], 0.9).threshold == math.inf


@pytest.mark.parametrize("rule", [youden, lambda a, b: reaching_sensitivity(a, b, 0.9)])
def test_one_side_alone_has_no_threshold(rule) -> None:
    for ill in ([True, True], [False, False], []):
        with pytest.raises(ValueError, match="either side are missing"):
            rule(ill, [0.1, 0.2][: len(ill)])


def test_scores_that_are_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are nan"):
        youden([True, False], [math.nan, 0.2])


def test_net_benefit_by_hand() -> None:
    curve = decision_curve(ILL, SCORE, [0.2, 0.5, 0.9])
    # at 0.2: 3 of 7 found, 3 false alarms; at 0.5: 2 found, 1 alarm; at 0.9 nobody is called
    assert curve.model == pytest.approx([(3 - 3 * 0.25) / 7, (2 - 1) / 7, 0])
    assert curve.everyone == pytest.approx([(3 - 4 * 0.25) / 7, (3 - 4) / 7, (3 - 4 * 9) / 7])
    assert curve.prevalence == pytest.approx(3 / 7)


def test_net_benefit_below_every_score_is_that_of_acting_on_all() -> None:
    curve = decision_curve(ILL, SCORE, [0.05, 0.1], prevalence=0.02)
    assert curve.model == pytest.approx(curve.everyone)
    assert curve.model[1] == pytest.approx(0.02 - 0.98 / 9)


def test_net_benefit_by_patient_ignores_copies() -> None:
    copies = np.r_[np.arange(7), 3, 3, 3, 0]
    once, again = (decision_curve(ILL[i], SCORE[i], [0.3, 0.5], patients=list(i)) for i in (np.arange(7), copies))
    assert again.model == pytest.approx(once.model)
    assert again.prevalence == pytest.approx(3 / 7)


@pytest.mark.parametrize("threshold", [0.0, 1.0, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        decision_curve(ILL, SCORE, [0.5, threshold])


def test_average_precision_is_that_of_scikit_learn_despite_ties_and_weights() -> None:
    rng = np.random.default_rng(3)
    truth, p = rng.integers(0, 3, 60), np.round(rng.dirichlet(np.ones(3), 60), 1)
    weights = rng.integers(1, 4, 60)
    plain, weighted = average_precision_by_class(truth, p), average_precision_by_class(truth, p, weights=weights)
    for c in range(3):
        assert plain[c] == pytest.approx(average_precision_score(truth == c, p[:, c]))
        assert weighted[c] == pytest.approx(average_precision_score(truth == c, p[:, c], sample_weight=weights))
    assert average_precision_by_class(truth, p, weights=np.stack([weights, weights])).shape == (2, 3)


def test_a_class_without_images_has_no_average_precision() -> None:
    found = average_precision_by_class([0, 0], [[0.9, 0.1], [0.2, 0.8]])
    assert found[0] == 1
    assert math.isnan(found[1])
