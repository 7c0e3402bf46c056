from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from overread.evaluate.calibration import FEWEST_BINS, MOST_BINS, calibrated
from overread.evaluate.predictions import Predictions


def said(p, *, seed: int = 0, sharper: float = 1.0, patients=None) -> Predictions:
    """Truth drawn from p, (n,) of class b; then probabilities made `sharper` times surer in their log odds."""
    truth = (np.random.default_rng(seed).random(len(p)) < p).astype(int)
    odds = sharper * np.log(p / (1 - p))
    told = 1 / (1 + np.exp(-odds))
    n = len(p)
    return Predictions(
        paths=tuple(f"{at}.png" for at in range(n)), frames=(0,) * n, truth=truth, parts=("test",) * n,
        patients=tuple(patients or map(str, range(n))), classes=("a", "b"), probabilities=np.c_[1 - told, told],
    )  # fmt: skip


def measured(found: Predictions, temperature: float = 1.0):
    return calibrated(found, labels=["b"], temperature=temperature, why="", rng=np.random.default_rng(0))


P = np.random.default_rng(1).uniform(0.05, 0.95, 800)


def test_probabilities_that_mean_what_they_say_are_not_called_off() -> None:
    (one,) = measured(said(P)).by_class
    assert not one.is_off
    assert one.line.slope.low < 1 < one.line.slope.high
    assert one.error.corrected < 0.03


def test_probabilities_that_are_too_sure_are() -> None:
    (one,) = measured(said(P, sharper=3)).by_class
    assert one.is_off
    assert one.line.slope.value == pytest.approx(1 / 3, abs=0.07)
    assert one.error.p < 0.01


def test_the_log_loss_before_is_that_without_the_temperature() -> None:
    plain = said(P, sharper=2)
    odds = np.log(plain.probabilities[:, 1] / plain.probabilities[:, 0])
    cooled = said(P, sharper=2 / 4)
    assert np.log(cooled.probabilities[:, 1] / cooled.probabilities[:, 0]) == pytest.approx(odds / 4)
    found = measured(cooled, temperature=4.0)
    assert found.log_loss_before == pytest.approx(log_loss(plain.truth, plain.probabilities))
    assert found.log_loss_after == pytest.approx(log_loss(plain.truth, cooled.probabilities))


@pytest.mark.parametrize(("n", "bins"), [(12, FEWEST_BINS), (64, 6), (800, MOST_BINS)])
def test_there_are_as_many_bins_as_the_patients_can_fill(n: int, bins: int) -> None:
    (one,) = measured(said(P[:n])).by_class
    assert len(one.bins) == bins


def test_images_of_one_patient_do_not_fill_more_bins() -> None:
    (one,) = measured(said(P[:640], patients=[str(at // 10) for at in range(640)])).by_class
    assert len(one.bins) == 6
