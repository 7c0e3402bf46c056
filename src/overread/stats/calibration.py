"""Whether a probability of 0.8 is right 8 times in 10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.intervals import Measured
from overread.stats.means import measured_share
from overread.stats.patients import Floats, Places, count_patients, equal_weights, of_some, patient_codes

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Images of about the same probability."""

    predicted: float
    """Mean probability."""
    observed: Measured
    """Share in which the event happened, with its interval."""


@dataclass(frozen=True, kw_only=True)
class CalibrationError:
    """Expected calibration error, and how much of it chance alone would show."""

    value: float
    """Mean distance of probability and share over the bins, 0 to 1; as found, which is too high."""
    expected: float
    """What perfectly calibrated probabilities like these would show on average: the bias of `value`."""
    p: float
    """How often perfectly calibrated probabilities would show as much."""
    n_bins: int
    n_images: int
    n_patients: int | None

    @property
    def corrected(self) -> float:
        """What is left when the bias is taken off, 0 or more."""
        return max(0.0, self.value - self.expected)


@dataclass(frozen=True, kw_only=True)
class BrierParts:
    """A single-class Brier score in parts that add up to it exactly."""

    reliability: float
    """Squared distance of probability and share over the bins: 0 is best."""
    resolution: float
    """How far the shares of the bins lie from the prevalence: more is better."""
    uncertainty: float
    """prevalence x (1 - prevalence): what always saying the prevalence costs."""
    within: float
    """What the bins hide: spread of the probabilities inside them less twice their covariance with the event."""

    @property
    def score(self) -> float:
        """The Brier score, 0 to 1."""
        return self.reliability - self.resolution + self.uncertainty + self.within


def reliability(
    happened: ArrayLike, probability: ArrayLike, patients: Sequence[Any] | None = None, *, n_bins: int = 10
) -> tuple[Bin, ...]:
    """Bins of about equally many images, by ascending probability; equal probabilities share a bin.

    happened: (n,) bool. probability: (n,) float of the event: that of one class, or the largest of each image
    with whether it was right. Each bin has Wilson's interval by patient (`means.measured_share`). ValueError
    without images, or where a probability is nan.
    """
    event, p = _events(happened, probability)
    bin_of = _equal_mass(p, n_bins)
    return tuple(
        Bin(
            predicted=float(p[bin_of == b].mean()),
            observed=measured_share("observed share", event[bin_of == b] == 1, of_some(patients, bin_of == b)),
        )
        for b in np.unique(bin_of)
    )


def calibration_error(
    happened: ArrayLike,
    probability: ArrayLike,
    patients: Sequence[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_bins: int = 10,
    n_simulations: int = 1000,
) -> CalibrationError:
    """Expected calibration error over bins of equal mass, its bias, and a test of perfect calibration.

    Arguments as for `reliability`. A finite sample is never on the line: outcomes are drawn from the probabilities
    themselves and binned the same way (consistency resampling, Broecker & Smith 2007); their mean error is the bias
    (after Roelofs et al. 2022). Images of one patient are drawn with one common random number, hit together as far
    as their probabilities allow: with patients the bias is stated rather too high than too low.
    """
    event, p = _events(happened, probability)
    codes, bin_of = patient_codes(patients, p.size), _equal_mass(p, n_bins)
    found = float(_gaps(event[None], p, bin_of)[0])
    size = max(1, _CHUNK_CELLS // p.size)
    simulated = np.concatenate(
        [
            _gaps(rng.random((min(size, n_simulations - start), codes.max() + 1))[:, codes] < p, p, bin_of)
            for start in range(0, n_simulations, size)
        ]
    )
    return CalibrationError(
        value=found,
        expected=float(simulated.mean()),
        p=float((1 + (simulated >= found - 1e-12).sum()) / (1 + n_simulations)),
        n_bins=np.unique(bin_of).size,
        n_images=p.size,
        n_patients=count_patients(patients),
    )


def brier_parts(
    happened: ArrayLike, probability: ArrayLike, patients: Sequence[Any] | None = None, *, n_bins: int = 10
) -> BrierParts:
    """Split the single-class Brier score: Murphy (1973), with what bins hide after Stephenson et al. (2008).

    Arguments as for `reliability`; with patients each counts the same. Summed over the classes, each against the
    rest, the scores are `metrics.brier`.
    """
    event, p = _events(happened, probability)
    bin_of, w = _equal_mass(p, n_bins), equal_weights(patients, p.size)
    w = w / w.sum()
    mass = np.bincount(bin_of, weights=w)
    used = mass > 0
    predicted, observed = (
        np.divide(np.bincount(bin_of, weights=w * x), mass, out=np.zeros_like(mass), where=used) for x in (p, event)
    )
    prevalence = float(w @ event)
    off_p, off_event = p - predicted[bin_of], event - observed[bin_of]
    return BrierParts(
        reliability=float(mass @ (predicted - observed) ** 2),
        resolution=float(mass @ (observed - prevalence) ** 2),
        uncertainty=prevalence * (1 - prevalence),
        within=float(w @ off_p**2 - 2 * (w @ (off_p * off_event))),
    )


def _events(happened: ArrayLike, probability: ArrayLike) -> tuple[Floats, Floats]:
    event, p = np.asarray(happened, np.float64), np.asarray(probability, np.float64)
    if not p.size:
        raise ValueError("no images: there is no calibration")
    if np.isnan(p).any():
        raise ValueError(f"{np.isnan(p).sum()} of {p.size} probabilities are nan")
    return event, p


def _equal_mass(probability: Floats, n_bins: int) -> Places:
    """Bin of each image, (n,) int from 0: edges at the quantiles, ties together, so that some may be empty."""
    edges = np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, probability, "left")


def _gaps(events: NDArray[Any], probability: Floats, bin_of: Places) -> Floats:
    """Calibration error of each row of events, (b, n) to (b,)."""
    in_bin = np.asarray(bin_of[:, None] == np.unique(bin_of), np.float64)
    return np.asarray(np.abs((events - probability) @ in_bin).sum(axis=1) / probability.size)
