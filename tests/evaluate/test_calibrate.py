from __future__ import annotations

import numpy as np
import pytest

from overread.evaluate.calibrate import LEAST_UNITS, fit_caution

CLASSES = ("normal", "nodule")


def drawn(n: int, *, each: int = 1, sharpness: float = 1.0, seed: int = 0):
    """N patients whose logits are right in odds, and then `sharpness` times too sure: truth, logits, patients."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n) % 2, each)
    margin = np.repeat(rng.normal(0, 1, n), each) + rng.normal(0, 0.5, n * each) + (2.0 * truth - 1)
    logits = sharpness * np.c_[-margin, margin]
    return truth, logits, [f"p{at}" for at in np.repeat(np.arange(n), each)]


def fit(truth, logits, patients, *, part: str = "calibrate", distance=None):
    return fit_caution(truth, logits, patients, classes=CLASSES, part=part, distance=distance)


def test_a_network_that_is_too_sure_is_cooled_by_as_much() -> None:
    plain, sure = (fit(*drawn(400, sharpness=sharpness)).temperature for sharpness in (1.0, 5.0))
    assert sure / plain == pytest.approx(5, rel=1e-3)


def test_too_few_patients_leave_the_temperature_alone() -> None:
    found = fit(*drawn(LEAST_UNITS - 1, each=3))
    assert found.temperature == 1.0
    assert (
        found.temperature_why == f"left at 1: {LEAST_UNITS} patients are needed to fit one, found {LEAST_UNITS - 1}"
    )


def test_a_network_without_mistakes_leaves_nothing_to_fit() -> None:
    truth = np.arange(60) % 2
    found = fit(truth, 10.0 * np.eye(2)[truth], [f"p{at}" for at in range(60)])
    assert found.temperature == 1.0
    assert "nothing to fit" in found.temperature_why


@pytest.mark.parametrize(
    ("n", "by_class", "n_thresholds", "said"),
    [
        (18, True, 2, "of the images of each class (one of each new patient)"),
        (16, False, 2, "that takes 9 patients a class, found normal 8, nodule 8"),
        (8, False, 0, "no sets: 8 calibration patients; a promise of 90% needs at least 9"),
    ],
)
def test_sets_are_promised_as_far_as_patients_allow(n: int, by_class: bool, n_thresholds: int, said: str) -> None:
    found = fit(*drawn(n, each=4))
    assert (found.by_class, len(found.thresholds)) == (by_class, n_thresholds)
    assert said in found.sets_why
    assert (found.n_images, found.n_patients) == (4 * n, n)


def test_sets_hold_the_truth_as_promised_by_class() -> None:
    held: dict[int, list[float]] = {0: [], 1: []}
    for seed in range(60):
        truth, logits, patients = drawn(60, seed=seed)
        found = fit(truth, logits, patients)
        new_truth, new_logits, _ = drawn(400, seed=1000 + seed)
        sets = found.sets(found.probabilities(new_logits))
        for code in (0, 1):
            held[code].append(float(sets[new_truth == code, code].mean()))
    for code in (0, 1):
        assert np.mean(held[code]) == pytest.approx(0.91, abs=0.02)  # at least 0.9, at most 1/31 more


def test_unknown_patients_are_said_to_be_unknown() -> None:
    truth, logits, _ = drawn(60)
    found = fit(truth, logits, [None] * 60, part="val")
    assert found.n_patients is None
    assert "patients are unknown, so that images of one count as several" in found.sets_why
    assert "the validation part, which also chose the best epoch (60 images)" in found.temperature_why


def test_the_limit_of_distance_is_the_one_that_a_share_lies_beyond() -> None:
    truth, logits, patients = drawn(99)
    found = fit(truth, logits, patients, distance=np.arange(99.0))
    assert found.farthest == 94.0  # the 95th of 99: (99 + 1) x 0.95
    assert fit(truth, logits, patients).farthest is None
    few = fit(*(part[:18] for part in drawn(18)), distance=np.arange(18.0))
    assert few.farthest is None
    assert "needs at least 19" in few.far_why
