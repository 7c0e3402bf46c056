"""Whether the probabilities mean what they say, before and after the temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.evaluate.predictions import Predictions
from overread.stats import metrics
from overread.stats.calibration import Bin, BrierParts, CalibrationError, brier_parts, calibration_error, reliability
from overread.stats.rescaling import CalibrationLine, calibration_line

MOST_BINS, FEWEST_BINS = 10, 4
_UNITS_A_BIN = 10
"""patients (or images, where those are unknown) that a bin should hold"""
_SURE = 0.05
"""p, from which on a network is called badly calibrated"""
_WORTH = 0.05
"""mean distance of probability and share, beyond the bias, that is worth a word"""


@dataclass(frozen=True, kw_only=True)
class ClassCalibration:
    """The probability of one class beside how often it was there."""

    label: str
    bins: tuple[Bin, ...]
    error: CalibrationError
    brier: BrierParts
    line: CalibrationLine

    @property
    def is_off(self) -> bool:
        """Whether it is worse calibrated than chance explains, by an amount that matters."""
        return self.error.p < _SURE and self.error.corrected > _WORTH


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Calibration of one part, class by class, and what the temperature changed."""

    by_class: tuple[ClassCalibration, ...]
    temperature: float
    why: str
    log_loss_before: float
    """nats, at temperature 1"""
    log_loss_after: float


def calibrated(
    found: Predictions, *, labels: Sequence[str], temperature: float, why: str, rng: np.random.Generator
) -> Calibration:
    """Measure the calibration of predictions that were made at `temperature`, for each class of `labels`."""
    patients = found.known_patients
    before = metrics.softmax(np.log(np.clip(found.probabilities, 1e-300, None)) * temperature)
    n_units = len(found) if patients is None else len(set(patients))
    n_bins = min(MOST_BINS, max(FEWEST_BINS, n_units // _UNITS_A_BIN))
    rows = []
    for code in map(found.classes.index, labels):
        happened, probability = found.truth == code, found.probabilities[:, code]
        rows.append(
            ClassCalibration(
                label=found.classes[code],
                bins=reliability(happened, probability, patients, n_bins=n_bins),
                error=calibration_error(happened, probability, patients, rng=rng, n_bins=n_bins),
                brier=brier_parts(happened, probability, patients, n_bins=n_bins),
                line=calibration_line(happened, probability, patients),
            )
        )
    return Calibration(
        by_class=tuple(rows),
        temperature=temperature,
        why=why,
        log_loss_before=float(metrics.log_loss(found.truth, before)),
        log_loss_after=float(metrics.log_loss(found.truth, found.probabilities)),
    )
