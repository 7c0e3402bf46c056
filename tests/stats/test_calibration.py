from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from overread.stats import metrics
from overread.stats.calibration import brier_parts, calibration_error, reliability
from overread.stats.intervals import wilson


def case(seed: int, n: int = 300, *, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Events of the probability that is told, or of a softer one where it is sharpened."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, n)
    return rng.random(n) < 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-sharpen * logit))


@pytest.mark.parametrize("seed", range(3))
def test_bins_are_those_of_scikit_learn(seed) -> None:
    event, p = case(seed)
    bins = reliability(event, p)
    observed, predicted = calibration_curve(event, p, n_bins=10, strategy="quantile")
    assert [one.predicted for one in bins] == pytest.approx(predicted)
    assert [one.observed.value for one in bins] == pytest.approx(observed)
    assert {one.observed.n_images for one in bins} == {30}
    assert (bins[0].observed.low, bins[0].observed.high) == wilson(round(observed[0] * 30), 30)


def test_equal_probabilities_share_a_bin() -> None:
    bins = reliability([True, False, True, True, False, True], [0.3, 0.3, 0.3, 0.9, 0.9, 0.9])
    assert [(one.predicted, one.observed.value) for one in bins] == [
        (pytest.approx(0.3), 2 / 3),
        (pytest.approx(0.9), 2 / 3),
    ]
    (alone,) = reliability([True, False], [0.5, 0.5])
    assert alone.observed.value == 0.5


def test_intervals_of_bins_know_the_patients() -> None:
    event, p = case(1)
    patients = np.tile(np.arange(300), 3)
    once, again = reliability(event, p), reliability(np.tile(event, 3), np.tile(p, 3), patients)
    for a, b in zip(once, again, strict=True):
        assert b.observed.value == pytest.approx(a.observed.value)
        assert b.observed.n_patients == a.observed.n_images
        assert b.observed.high - b.observed.low > 0.95 * (a.observed.high - a.observed.low)


def test_error_by_hand() -> None:
    event, p = [True, False, False, True], [0.2, 0.2, 0.6, 0.6]
    found = calibration_error(event, p, rng=np.random.default_rng(0))
    assert found.value == pytest.approx((0.3 + 0.1) / 2)
    assert found.n_bins == 2


def test_bias_of_one_bin_by_hand() -> None:
    # one of two events with p = 1/2: |0 - 1|, 0 or |1 - 0| over 2, so half the time 1/2
    found = calibration_error([True, False], [0.5, 0.5], rng=np.random.default_rng(0), n_simulations=20_000)
    assert found.value == 0
    assert found.expected == pytest.approx(0.25, abs=0.01)
    assert found.p == 1
    assert found.corrected == 0


def test_what_is_calibrated_is_rarely_doubted_and_what_is_too_sure_is() -> None:
    honest = [
        calibration_error(*case(seed), rng=np.random.default_rng(seed), n_simulations=199) for seed in range(200)
    ]
    assert np.mean([one.p <= 0.05 for one in honest]) <= 0.09
    assert np.mean([one.value for one in honest]) == pytest.approx(
        np.mean([one.expected for one in honest]), abs=0.004
    )
    too_sure = calibration_error(*case(0, sharpen=3.0), rng=np.random.default_rng(0))
    assert too_sure.p < 0.01
    assert too_sure.corrected > 0.05


def test_images_of_one_patient_raise_the_bias() -> None:
    event, p = case(2, 60)
    copies = np.repeat(np.arange(60), 5)
    rng = np.random.default_rng(0)
    by_patient = calibration_error(event[copies], p[copies], list(copies), rng=rng)
    by_image = calibration_error(event[copies], p[copies], rng=rng)
    single = calibration_error(event, p, rng=rng)
    assert by_image.expected < 0.6 * single.expected
    assert by_patient.expected == pytest.approx(single.expected, rel=0.1)
    assert by_patient.n_patients == 60


def test_memory_is_bounded_and_the_chunks_add_up() -> None:
    event, p = case(3, 30_000)
    found = calibration_error(event, p, rng=np.random.default_rng(0), n_simulations=150)
    assert found.expected < 0.01
    assert found.p >= 1 / 151


@pytest.mark.parametrize("n_bins", [1, 5, 10])
@pytest.mark.parametrize("known", [True, False])
def test_parts_add_up_to_the_brier_score(n_bins, known) -> None:
    event, p = case(4, sharpen=2.0)
    patients = list(np.arange(300) // 4) if known else None
    weights = np.ones(300)
    assert brier_parts(event, p, patients, n_bins=n_bins).score == pytest.approx(
        metrics.brier(event.astype(int), np.stack([1 - p, p], axis=1), weights=weights) / 2
    )


def test_parts_add_up_where_patients_differ_in_size() -> None:
    event, p = case(5, 50)
    patients = np.minimum(np.arange(50), 20)
    weights = 1 / np.bincount(patients)[patients]
    expected = np.average((p - event) ** 2, weights=weights)
    assert brier_parts(event, p, list(patients)).score == pytest.approx(expected)


def test_parts_over_the_classes_are_the_score_of_many_classes() -> None:
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90)
    total = sum(brier_parts(truth == c, p[:, c]).score for c in range(3))
    assert total == pytest.approx(metrics.brier(truth, p))


def test_parts_by_hand() -> None:
    found = brier_parts([True, False, False, True], [0.2, 0.2, 0.6, 0.6])
    assert found.reliability == pytest.approx((0.3**2 + 0.1**2) / 2)
    assert (found.resolution, found.uncertainty, found.within) == pytest.approx((0, 0.25, 0))


@pytest.mark.parametrize("value", [True, False])
def test_one_class_alone_has_no_uncertainty(value) -> None:
    found = brier_parts([value] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert (found.uncertainty, found.resolution) == pytest.approx((0, 0))
    assert found.score == pytest.approx(np.mean((value - np.arange(1, 7) / 10) ** 2))


def test_one_patient() -> None:
    bins = reliability([True, False, True], [0.2, 0.5, 0.8], ["a"] * 3, n_bins=2)
    assert all(one.observed.n_patients == 1 for one in bins)
    found = calibration_error([True, False, True], [0.2, 0.5, 0.8], ["a"] * 3, rng=np.random.default_rng(0))
    assert 0 < found.p <= 1


def test_no_image_has_no_calibration() -> None:
    for wrong in (
        lambda: reliability([], []),
        lambda: brier_parts([], []),
        lambda: calibration_error([], [], rng=np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="no images: there is no calibration"):
            wrong()


def test_a_probability_that_is_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 probabilities are nan"):
        reliability([True, False], [math.nan, 0.5])
