from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from overread.stats.metrics import log_loss, softmax
from overread.stats.rescaling import calibration_line, fit_temperature


def logits(seed: int, n: int = 400, *, sharpen: float = 1.0, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (n, k))
    truth = np.array([rng.choice(k, p=p) for p in softmax(z)])
    return truth, sharpen * z


def pair(seed: int, n: int = 200, *, images: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events, probabilities that are too sure, and patients with a common push."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n), images)
    x = rng.normal(0, 1.2, n * images) + 0.5 * rng.normal(size=n)[patients]
    event = rng.random(x.size) < 1 / (1 + np.exp(-(x + 0.5 * rng.normal(size=n)[patients] - 0.3)))
    return event, 1 / (1 + np.exp(-1.6 * x)), patients


class _Known(ClassifierMixin, BaseEstimator):
    """A classifier whose logits are its input."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x):
        return x

    def predict(self, x):
        return self.classes_[x.argmax(axis=1)]


@pytest.mark.parametrize("sharpen", [0.3, 1.0, 4.0])
def test_temperature_is_that_of_scikit_learn(sharpen) -> None:
    truth, z = logits(0, sharpen=sharpen)
    found = fit_temperature(truth, z)
    theirs = CalibratedClassifierCV(FrozenEstimator(_Known().fit(z, truth)), method="temperature").fit(z, truth)
    assert softmax(z / found.value) == pytest.approx(theirs.predict_proba(z), abs=2e-3)
    assert found.loss_after == pytest.approx(log_loss(truth, theirs.predict_proba(z)), abs=1e-6)
    assert found.loss_before == pytest.approx(log_loss(truth, softmax(z)))
    assert not found.at_edge


@pytest.mark.parametrize("sharpen", [0.5, 3.0])
def test_what_was_sharpened_is_found_again(sharpen) -> None:
    assert fit_temperature(*logits(1, 5000, sharpen=sharpen)).value == pytest.approx(sharpen, rel=0.06)


def test_each_patient_counts_the_same() -> None:
    truth, z = logits(2, 60)
    copies = np.r_[np.arange(60), np.full(200, 3)]
    again = fit_temperature(truth[copies], z[copies], list(copies))
    assert again.value == pytest.approx(fit_temperature(truth, z).value, rel=1e-4)
    assert fit_temperature(truth[copies], z[copies]).value != pytest.approx(again.value, rel=0.01)


def test_all_right_and_always_wrong_end_at_the_edges() -> None:
    z = np.array([[4.0, 0.0], [0.0, 3.0]])
    right, wrong = fit_temperature([0, 1], z), fit_temperature([1, 0], z)
    assert right.at_edge
    assert right.value == pytest.approx(0.05, rel=0.01)
    assert wrong.at_edge
    assert wrong.value == pytest.approx(20, rel=0.01)


def test_logits_that_say_nothing_are_not_used() -> None:
    assert fit_temperature([0, 1], np.zeros((2, 2))).at_edge


def test_no_image_has_no_temperature() -> None:
    with pytest.raises(ValueError, match="no images: there is no temperature"):
        fit_temperature([], np.zeros((0, 2)))


@pytest.mark.parametrize("images", [1, 4])
def test_line_is_the_logistic_regression_of_statsmodels(images) -> None:
    event, p, patients = pair(0, images=images)
    found = calibration_line(event, p, list(patients))
    x = np.log(p / (1 - p))
    groups = {"groups": patients, "use_correction": False}
    sloped = sm.GLM(event.astype(float), np.stack([x, np.ones_like(x)], 1), family=sm.families.Binomial())
    level = sm.GLM(event.astype(float), np.ones((x.size, 1)), offset=x, family=sm.families.Binomial())
    few = math.sqrt(200 / 199)  # their sandwich is not corrected for the number of patients
    for ours, model in ((found.slope, sloped), (found.intercept, level)):
        theirs = model.fit(cov_type="cluster", cov_kwds=groups, tol=1e-12)
        assert ours.value == pytest.approx(theirs.params[0], abs=1e-6)
        half = 1.972017 * theirs.bse[0] * few  # t with 198 degrees
        assert (ours.low, ours.high) == pytest.approx((ours.value - half, ours.value + half), rel=1e-4)
    assert found.slope.n_patients == 200


def test_probabilities_that_are_too_sure_have_a_slope_below_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, 20_000)
    event = rng.random(20_000) < 1 / (1 + np.exp(-x))
    found = calibration_line(event, 1 / (1 + np.exp(-2 * x)))
    assert found.slope.value == pytest.approx(0.5, abs=0.03)
    assert found.slope.low < 0.5 < found.slope.high
    shifted = calibration_line(event, 1 / (1 + np.exp(-x + 1)))
    assert shifted.intercept.value == pytest.approx(1, abs=0.05)
    assert shifted.slope.value == pytest.approx(1, abs=0.05)


def test_copies_do_not_narrow_the_line() -> None:
    event, p, patients = pair(1, 60)
    once = calibration_line(event, p)
    again = calibration_line(np.tile(event, 5), np.tile(p, 5), list(patients) * 5)
    assert (again.slope.low, again.slope.high) == pytest.approx((once.slope.low, once.slope.high))


def test_events_told_without_error_have_no_slope() -> None:
    found = calibration_line([False, False, True, True], [0.1, 0.3, 0.7, 0.9])
    assert math.isnan(found.slope.value)
    assert math.isnan(found.slope.high)
    assert found.slope.method.startswith("none")
    assert found.intercept.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("event", [[True] * 4, [False] * 4])
def test_one_class_alone_has_no_line(event) -> None:
    found = calibration_line(event, [0.1, 0.3, 0.7, 0.9])
    assert math.isnan(found.slope.value)
    assert math.isnan(found.intercept.value)


def test_probabilities_that_are_all_the_same_have_a_level_and_no_slope() -> None:
    found = calibration_line([True, False, False, False], [0.5] * 4)
    assert math.isnan(found.slope.value)
    assert "probabilities are the same" in found.slope.method
    assert found.intercept.value == pytest.approx(math.log(1 / 3))


def test_certain_probabilities_do_not_break_it() -> None:
    found = calibration_line([True, False, False, True, True], [1.0, 0.0, 1.0, 0.6, 0.4])
    assert 0 < found.slope.value < 1


def test_one_patient_has_a_line_without_an_interval() -> None:
    event, p, _ = pair(2, 40)
    found = calibration_line(event, p, ["a"] * 40)
    assert found.slope.value > 0
    assert math.isnan(found.slope.low)
    assert "one patient" in found.slope.method


def test_nothing_has_no_line() -> None:
    found = calibration_line([], [], [])
    assert math.isnan(found.slope.value)
    assert found.slope.n_images == 0
