from __future__ import annotations

import math

import numpy as np
import pytest

from overread.stats.conformal import Refused
from overread.stats.means import most
from overread.stats.triage import Cut, bound_predictions, bound_rates, triage_report

TENTHS = np.arange(1, 10) / 10


def clinic(rng: np.random.Generator, n: int, *, images: int = 1, ill_share: float = 0.4, gap: float = 2.5):
    """Whether each image is of an ill patient, its score, and the patient."""
    codes = np.repeat(np.arange(n), images)
    ill = (rng.random(n) < ill_share)[codes]
    score = gap * ill + rng.normal(size=n)[codes] + 0.3 * rng.normal(size=codes.size)
    return ill, 1 / (1 + np.exp(-(score - gap / 2))), codes


def test_59_patients_without_a_miss_promise_a_twentieth() -> None:
    # the rule of three's neighbour: 0.95 ** 59 < 0.05 < 0.95 ** 58
    ill = np.r_[np.ones(59, bool), np.zeros(59, bool)]
    scores = np.r_[np.linspace(0.5, 1, 59), np.linspace(0, 0.6, 59)]
    rule = bound_rates(ill, scores, missed=0.05, alarmed=0.05)
    assert rule.rule_out.threshold == 0.5
    assert (rule.rule_out.n_wrong, rule.rule_out.n_patients) == (0, 59)
    assert rule.rule_out.bound == pytest.approx(most(0, 59))
    assert rule.rule_in.threshold > 0.6
    assert rule.rule_in.n_wrong == 0
    assert rule.actions([0.49, 0.5, 0.6, 0.61]) == ("rule out", "read", "read", "rule in")


def test_58_patients_cannot() -> None:
    ill = np.r_[np.ones(58, bool), np.zeros(60, bool)]
    rule = bound_rates(ill, ill + 0.0, missed=0.05, alarmed=0.05)
    assert rule.rule_out == Refused(reason="58 ill patients; a risk of 0.05 with 95% confidence needs 59")
    assert isinstance(rule.rule_in, Cut)
    assert rule.actions([0.0, 1.0]) == ("read", "rule in")


def test_more_patients_allow_misses() -> None:
    # 93 patients, one miss: the bound of Clopper and Pearson is 0.0500; of 92, 0.0505
    for n, misses in ((92, 0), (93, 1)):
        rule = bound_rates(np.ones(n, bool), np.arange(n), missed=0.05, alarmed=0.05)
        assert rule.rule_out.n_wrong == misses
        assert rule.rule_out.threshold == misses
        assert rule.rule_out.bound <= 0.05


def test_ties_never_let_more_through() -> None:
    scores = np.r_[np.zeros(10), np.ones(90)]
    rule = bound_rates(np.ones(100, bool), scores, missed=0.05, alarmed=0.05)
    assert rule.rule_out.threshold == 0
    assert rule.rule_out.n_wrong == 0
    healthy = bound_rates(np.zeros(100, bool), 1 - scores, missed=0.05, alarmed=0.05)
    assert healthy.actions([1.0]) == ("read",)
    assert healthy.rule_in.n_wrong == 0


def test_a_perfect_score_leaves_nobody_to_read() -> None:
    ill = np.arange(200) < 100
    rule = bound_rates(ill, ill + 0.0, missed=0.05, alarmed=0.05)
    report = triage_report(rule, ill, ill + 0.0)
    assert (report.missed.value, report.alarmed.value, report.read.value) == (0, 0, 0)


def test_ruling_out_comes_first_where_both_would_take_a_patient() -> None:
    ill = np.arange(200) < 100
    turned = np.where(ill, 1.0, 0.0)  # every threshold in between is free of error
    rule = bound_rates(ill, turned, missed=0.3, alarmed=0.3)
    assert rule.rule_in.threshold >= rule.rule_out.threshold
    assert rule.actions([0.0, 1.0]) == ("rule out", "rule in")


def test_a_patient_is_the_highest_image() -> None:
    ill, scores, codes = clinic(np.random.default_rng(0), 300, images=4)
    highest = np.array([scores[codes == c].max() for c in range(300)])
    one = bound_rates(ill[::4], highest, missed=0.1, alarmed=0.1)
    assert bound_rates(ill, scores, list(codes), missed=0.1, alarmed=0.1) == one


def test_a_patient_with_an_ill_image_is_ill() -> None:
    ill = np.array([True, False] * 60)
    rule = bound_rates(ill, np.ones(120), list(np.repeat(np.arange(60), 2)), missed=0.05, alarmed=0.05)
    assert rule.rule_out.n_patients == 60
    assert rule.rule_in == Refused(reason="0 healthy patients; a risk of 0.05 with 95% confidence needs 59")


def test_one_patient_or_none_promises_nothing() -> None:
    for codes in (["a"] * 6, []):
        n = len(codes)
        rule = bound_rates(np.ones(n, bool), np.ones(n), codes, missed=0.05, alarmed=0.05)
        assert isinstance(rule.rule_out, Refused)
        assert isinstance(rule.rule_in, Refused)
        assert rule.actions([0.0, 1.0]) == ("read", "read")


def test_a_score_that_is_nan_is_read() -> None:
    ill = np.arange(200) < 100
    rule = bound_rates(ill, ill + 0.0, missed=0.05, alarmed=0.05)
    assert rule.actions([math.nan]) == ("read",)


def test_scores_that_are_nan_make_no_rule() -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are nan"):
        bound_rates([True, False], [math.nan, 0.5], missed=0.05, alarmed=0.05)


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1])
def test_a_risk_must_lie_between_never_and_always(risk) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        bound_rates([True, False], [0.2, 0.5], missed=risk, alarmed=0.05)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        bound_predictions([True, False], [0.2, 0.5], ill_ruled_out=0.1, healthy_ruled_in=risk, thresholds=[0.5])


def test_predictions_pay_for_every_threshold_tried() -> None:
    ill = np.arange(400) >= 200
    scores = np.where(ill, 0.95, 0.05)
    few = bound_predictions(ill, scores, ill_ruled_out=0.05, healthy_ruled_in=0.05, thresholds=[0.5])
    many = bound_predictions(ill, scores, ill_ruled_out=0.05, healthy_ruled_in=0.05, thresholds=TENTHS)
    assert few.rule_out.bound == pytest.approx(most(0, 200))
    assert many.rule_out.bound == pytest.approx(most(0, 200, confidence=1 - 0.05 / 9))
    # as much as can be is decided: the highest threshold rules out, the lowest one above it rules in
    assert (many.rule_out.threshold, many.rule_in.threshold) == (0.9, 0.9)


def test_predictions_that_cannot_be_kept_are_refused_with_the_best_that_can() -> None:
    ill = np.arange(40) >= 20
    scores = np.where(ill, 0.95, 0.05)
    rule = bound_predictions(ill, scores, ill_ruled_out=0.05, healthy_ruled_in=0.2, thresholds=[0.5])
    assert rule.rule_out == Refused(
        reason="a risk of 0.05 cannot be promised: the best of 1 thresholds leaves 0.139 (0 wrong of 20 patients "
        "ruled out)"
    )
    assert rule.rule_in.bound == pytest.approx(most(0, 20))


def test_without_thresholds_nothing_is_tried() -> None:
    with pytest.raises(ValueError, match="no thresholds to try"):
        bound_predictions([True, False], [0.9, 0.1], ill_ruled_out=0.1, healthy_ruled_in=0.1, thresholds=[])


def test_report_by_hand() -> None:
    ill = np.r_[np.ones(100, bool), np.zeros(100, bool)]
    scores = np.r_[np.linspace(0.5, 1, 100), np.linspace(0, 0.5, 100)]
    rule = bound_rates(ill, scores, missed=0.03, alarmed=0.03)
    new_ill = np.array([True, True, False, False, False])
    report = triage_report(rule, new_ill, [0.9, 0.1, 0.9, 0.1, 0.5])
    assert (report.missed.value, report.alarmed.value) == (1 / 2, 1 / 3)
    assert (report.ill_ruled_out.value, report.healthy_ruled_in.value) == (1 / 2, 1 / 2)
    assert report.read.value == pytest.approx(1 / 5)
    assert report.missed.n_patients == 2


def test_report_of_a_rule_that_rules_out_nobody() -> None:
    rule = bound_rates([True, False], [0.9, 0.1], missed=0.05, alarmed=0.05)
    report = triage_report(rule, [True, False], [0.9, 0.1])
    assert report.read.value == 1
    assert report.missed.value == 0
    assert math.isnan(report.ill_ruled_out.value)


def test_risks_of_rates_hold_as_often_as_said() -> None:
    """Of 300 rules for 10 %, on a world of 40,000 patients, 5 % or fewer (with chance, 8 %) exceed it."""
    rng = np.random.default_rng(1)
    ill, scores, _ = clinic(rng, 40_000)
    over = []
    for _ in range(300):
        rule = bound_rates(*clinic(rng, 150)[:2], missed=0.1, alarmed=0.1)
        over.append(
            ((scores[ill] < rule.rule_out.threshold).mean() > 0.1) if isinstance(rule.rule_out, Cut) else False
        )
    assert np.mean(over) <= 0.08
    assert np.mean(over) > 0.005


def test_risks_of_predictions_hold_as_often_as_said() -> None:
    rng = np.random.default_rng(2)
    ill, scores, _ = clinic(rng, 40_000)
    over = []
    for _ in range(300):
        rule = bound_predictions(*clinic(rng, 400)[:2], ill_ruled_out=0.1, healthy_ruled_in=0.1, thresholds=TENTHS)
        out = scores < rule.rule_out.threshold if isinstance(rule.rule_out, Cut) else np.zeros(ill.size, bool)
        over.append(out.any() and ill[out].mean() > 0.1)
    assert np.mean(over) <= 0.05
