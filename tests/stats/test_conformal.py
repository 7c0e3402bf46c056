from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore
from sklearn.base import BaseEstimator, ClassifierMixin

from overread.stats.conformal import (
    Refused,
    SetRule,
    Strangeness,
    calibrate_sets,
    conformal_quantile,
    patients_needed,
)

ROW = np.array([[0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])


def network(rng: np.random.Generator, patients: int, *, images: int = 1, k: int = 3, weak: int | None = None):
    """Truth, probabilities and patients, whose images are alike; class `weak` is told badly."""
    codes = np.repeat(np.arange(patients), images)
    truth = rng.integers(0, k, patients)[codes]
    strength = np.where(truth == weak, 0.3, 1.5)[:, None]
    raw = strength * np.eye(k)[truth] + rng.normal(size=(patients, k))[codes] + 0.5 * rng.normal(size=(codes.size, k))
    p = np.exp(1.5 * raw)
    return truth, p / p.sum(1, keepdims=True), codes


class _Known(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are its input."""

    def __init__(self, k: int = 3) -> None:
        self.k = k
        self.classes_ = np.arange(k)

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("n", [11, 30, 101])
def test_sets_are_those_of_mapie(n) -> None:
    rng = np.random.default_rng(n)
    truth, p, _ = network(rng, n)
    new = network(rng, 50)[1]
    rule = calibrate_sets(truth, p)
    theirs = SplitConformalClassifier(_Known(), confidence_level=0.9, conformity_score="lac", prefit=True)
    theirs.conformalize(p, truth)
    assert (rule.sets(new) == theirs.predict_set(new)[1][:, :, 0]).all()


def test_randomised_scores_are_those_of_mapie() -> None:
    truth, p, _ = network(np.random.default_rng(0), 60)
    ours = Strangeness(kind="aps", randomised=True).of(p, np.random.Generator(np.random.MT19937(7)))
    theirs = APSConformityScore()
    theirs.set_external_attributes(classes=np.arange(3), random_state=np.random.RandomState(np.random.MT19937(7)))
    at_truth = np.arange(60), truth
    whole = Strangeness(kind="aps").of(p)[at_truth]
    # they leave out the random part, we keep it
    left_out = whole - theirs.get_conformity_scores(truth, p, y_enc=truth)[:, 0]
    assert whole - ours[at_truth] + left_out == pytest.approx(p[at_truth])


def test_scores_by_hand() -> None:
    assert Strangeness().of(ROW) == pytest.approx(1 - ROW)
    assert Strangeness(kind="aps").of(ROW) == pytest.approx(np.array([[0.5, 1.0, 0.9], [0.9, 0.7, 1.0]]))
    raps = Strangeness(kind="raps", price=0.1, free=1).of(ROW)
    assert raps == pytest.approx(np.array([[0.5, 1.2, 1.0], [1.0, 0.7, 1.2]]))
    assert Strangeness(kind="raps", price=0.1, free=2).of(ROW)[0] == pytest.approx([0.5, 1.1, 0.9])


def test_a_random_part_needs_a_generator_and_lies_between() -> None:
    with pytest.raises(ValueError, match="randomised aps needs a random generator"):
        Strangeness(kind="aps", randomised=True).of(ROW)
    scores = Strangeness(kind="aps", randomised=True).of(ROW, np.random.default_rng(0))
    whole = Strangeness(kind="aps").of(ROW)
    assert ((whole - ROW <= scores) & (scores <= whole)).all()


@pytest.mark.parametrize(("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.01, 99), (0.5, 1)])
def test_patients_that_a_promise_needs(alpha, needed) -> None:
    assert patients_needed(alpha) == needed
    assert not isinstance(conformal_quantile(np.arange(needed), alpha), Refused)
    assert isinstance(conformal_quantile(np.arange(needed - 1), alpha), Refused)


def test_quantile_by_hand() -> None:
    assert conformal_quantile(np.arange(1, 20), 0.1) == 18  # ceil(20 x 0.9) of 19
    assert conformal_quantile(np.arange(1, 10), 0.1) == 9
    assert conformal_quantile([3.0] * 12, 0.1) == 3


def test_quantile_by_patient_by_hand() -> None:
    # nine patients with one image, the tenth with 1, 2, ... 10: it weighs 1 in all
    scores = np.r_[np.full(9, 5.0), np.arange(1, 11)]
    patients = list(range(9)) + [9] * 10
    # target (10 + 1) x 0.9 = 9.9: reached at 9 of the 10 images of the last patient
    assert conformal_quantile(scores, 0.1, patients) == 9
    # target 8.8 at alpha 0.2: 9 x 1 and the 0.5 of the images up to 5
    assert conformal_quantile(scores, 0.2, patients) == 5


def test_copies_of_an_image_do_not_move_the_quantile() -> None:
    scores = np.random.default_rng(0).normal(size=40)
    copies = np.r_[np.arange(40), np.full(300, 5), np.full(100, 9)]
    assert conformal_quantile(scores[copies], 0.1, list(copies)) == conformal_quantile(scores, 0.1)


def test_too_few_are_refused_with_the_number_that_is_needed() -> None:
    found = conformal_quantile(np.arange(40), 0.1, ["a"] * 20 + ["b"] * 20)
    assert found == Refused(reason="2 calibration patients; a promise of 90% needs at least 9")
    assert conformal_quantile([1.0], 0.1) == Refused(reason="1 calibration image; a promise of 90% needs at least 9")
    assert isinstance(conformal_quantile([], 0.1, []), Refused)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_promise_lies_between_never_and_always(alpha) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        conformal_quantile(np.arange(20), alpha)


def test_a_class_with_too_few_patients_refuses_the_promise_by_class() -> None:
    truth, p, codes = network(np.random.default_rng(0), 100)
    keep = (truth != 2) | (np.cumsum(truth == 2) <= 5)
    found = calibrate_sets(truth[keep], p[keep], by_class=True, patients=list(codes[keep]))
    assert found == Refused(reason="class 2: 5 calibration patients; a promise of 90% needs at least 9")
    assert isinstance(calibrate_sets(truth[keep], p[keep], patients=list(codes[keep])), SetRule)
    missing = calibrate_sets(truth[truth != 2], p[truth != 2], by_class=True)
    assert missing == Refused(reason="class 2: 0 calibration images; a promise of 90% needs at least 9")


def test_nothing_is_refused() -> None:
    for promise, by_class in itertools.product(("image", "patient"), (False, True)):
        found = calibrate_sets([], np.zeros((0, 2)), promise=promise, by_class=by_class, patients=[])
        assert isinstance(found, Refused)


def test_one_patient_is_refused_however_many_images() -> None:
    truth, p, _ = network(np.random.default_rng(0), 100)
    assert isinstance(calibrate_sets(truth, p, patients=["a"] * 100), Refused)


def test_a_network_that_is_always_sure_and_right_gets_one_class_a_set() -> None:
    truth = np.arange(30) % 3
    rule = calibrate_sets(truth, np.eye(3)[truth])
    assert (rule.sets(np.eye(3)) == np.eye(3, dtype=bool)).all()


def test_the_rule_says_what_it_rests_on() -> None:
    truth, p, codes = network(np.random.default_rng(1), 90, images=3)
    rule = calibrate_sets(truth, p, patients=list(codes), by_class=True, alpha=0.2)
    assert rule.n_patients == tuple(np.unique(codes[truth == c]).size for c in range(3))
    assert len(set(rule.thresholds)) == 3
    assert (rule.alpha, rule.by_class, rule.promise) == (0.2, True, "image")
    plain = calibrate_sets(truth, p, patients=list(codes))
    assert len(plain.thresholds) == 3
    assert len(set(plain.thresholds)) == 1
    assert plain.n_patients == (90, 90, 90)


def test_a_promise_for_all_images_of_a_patient_rests_on_the_worst() -> None:
    truth, p, codes = network(np.random.default_rng(2), 60, images=4)
    scores = (1 - p)[np.arange(240), truth]
    worst = [scores[codes == c].max() for c in range(60)]
    rule = calibrate_sets(truth, p, patients=list(codes), promise="patient")
    assert rule.thresholds[0] == conformal_quantile(worst, 0.1)
    assert rule.thresholds[0] >= calibrate_sets(truth, p, patients=list(codes)).thresholds[0]


@pytest.mark.parametrize("kind", ["lac", "aps", "raps"])
@pytest.mark.parametrize("randomised", [False, True])
def test_sets_hold_the_truth_as_often_as_promised(kind, randomised) -> None:
    """400 calibration parts of 60 patients, five new patients each: 90 % give or take."""
    rng, held = np.random.default_rng(3), []
    how = Strangeness(kind=kind, randomised=randomised and kind != "lac")
    for _ in range(400):
        truth, p, codes = network(rng, 60, images=2)
        rule = calibrate_sets(truth, p, strangeness=how, patients=list(codes), rng=rng)
        new_truth, new_p, _ = network(rng, 5)
        held.append(rule.sets(new_p, rng)[np.arange(5), new_truth].mean())
    assert 0.88 <= np.mean(held) <= 0.93


def test_the_promise_by_class_protects_the_class_that_is_told_badly() -> None:
    rng = np.random.default_rng(4)
    truth, p, _ = network(rng, 3000, weak=2)
    new_truth, new_p, _ = network(rng, 6000, weak=2)
    held = {}
    for by_class in (False, True):
        rule = calibrate_sets(truth, p, by_class=by_class)
        held[by_class] = [rule.sets(new_p)[new_truth == c, c].mean() for c in range(3)]
    assert held[False][2] < 0.85
    assert held[True] == pytest.approx([0.9] * 3, abs=0.03)


def test_a_promise_to_patients_holds_for_all_their_images() -> None:
    rng = np.random.default_rng(5)
    kept = {"image": [], "patient": []}
    for _ in range(150):
        truth, p, codes = network(rng, 60, images=4)
        new_truth, new_p, new_codes = network(rng, 10, images=4)
        for promise, share in kept.items():
            rule = calibrate_sets(truth, p, patients=list(codes), promise=promise)
            held = rule.sets(new_p)[np.arange(40), new_truth]
            share.append((np.bincount(new_codes, weights=~held) == 0).mean())
    assert np.mean(kept["patient"]) >= 0.88
    assert np.mean(kept["image"]) < 0.88


def test_a_prediction_repeats_it_with_numpy_alone() -> None:
    code = "import sys, overread.stats.conformal, overread.stats.outlying; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
