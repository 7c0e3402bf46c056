"""Where to set the threshold of a score, and what is then worth calling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats import metrics
from overread.stats.patients import Floats, equal_weights, of_some

_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold, and what it did on the images that it was chosen on: elsewhere it will do a little worse."""

    threshold: float
    """Images that score this or more are called positive; inf where none may be."""
    sensitivity: float
    specificity: float
    rule: str
    """How it was chosen, a phrase to print."""


@dataclass(frozen=True, kw_only=True)
class DecisionCurve:
    """Net benefit of acting on a model, in true positives for each patient seen; acting on nobody is 0."""

    thresholds: Floats
    """(m,) probability of disease from which on one would act."""
    model: Floats
    """(m,) acting on those whose probability reaches the threshold."""
    everyone: Floats
    """(m,) acting on all."""
    prevalence: float


def average_precision_by_class(
    truth: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None
) -> Floats:
    """Average precision of each class against the rest; `metrics.macro` takes the mean.

    truth: (n,) int. probabilities: (n, k) float. weights: (..., n). Returns (..., k), nan for a class without
    images. A score that knows nothing gets the share of the class, not 0.5.
    """
    t, p = np.asarray(truth), np.asarray(probabilities, np.float64)
    by_class = [metrics.average_precision(t == c, p[:, c], weights=weights) for c in range(p.shape[1])]
    return np.stack(by_class, axis=-1)


def youden(positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None = None) -> OperatingPoint:
    """Threshold at which sensitivity + specificity is greatest; the lowest of several (Youden 1950).

    positive: (n,) bool. scores: (n,) float, on the validation part. patients: (n,), each of whom then counts the
    same on each side; None counts images. Raises ValueError where images of either side are missing. Assumes that
    a miss and a false alarm weigh the same.
    """
    curve = _curve(positive, scores, patients)
    best = int(np.argmax(np.round(curve.sensitivity + curve.specificity, 12)))
    return curve.point(best, "greatest sensitivity + specificity (Youden)")


def reaching_sensitivity(
    positive: ArrayLike, scores: ArrayLike, target: float, patients: Sequence[Any] | None = None
) -> OperatingPoint:
    """Highest threshold whose sensitivity reaches the target, 0 to 1; other arguments as for `youden`."""
    curve = _curve(positive, scores, patients)
    last = int(np.flatnonzero(curve.sensitivity >= target - _ROUNDING)[-1])
    return curve.point(last, f"highest threshold with sensitivity {target:g} or more")


def reaching_specificity(
    positive: ArrayLike, scores: ArrayLike, target: float, patients: Sequence[Any] | None = None
) -> OperatingPoint:
    """Lowest threshold whose specificity reaches the target, 0 to 1; other arguments as for `youden`."""
    curve = _curve(positive, scores, patients)
    first = int(np.flatnonzero(curve.specificity >= target - _ROUNDING)[0])
    return curve.point(first, f"lowest threshold with specificity {target:g} or more")


def decision_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    thresholds: ArrayLike,
    *,
    prevalence: float | None = None,
    patients: Sequence[Any] | None = None,
) -> DecisionCurve:
    """Net benefit at each threshold probability: Vickers & Elkin (2006).

    positive: (n,) bool. probabilities: (n,) float, calibrated, or the thresholds mean nothing. thresholds: (m,)
    above 0 and below 1, else ValueError. prevalence: of the clinic; None takes that of these images, or of these
    patients. patients: (n,), each of whom then counts the same on each side.
    """
    t = np.asarray(thresholds, np.float64)
    if not ((t > 0) & (t < 1)).all():
        raise ValueError(f"thresholds go from {t.min():g} to {t.max():g}; they must lie between 0 and 1")
    curve = _curve(positive, probabilities, patients)
    if prevalence is None:
        prevalence = float(np.average(np.asarray(positive, bool), weights=equal_weights(patients, np.size(positive))))
    # the curve's place is the first score that still reaches the threshold
    at = np.searchsorted(curve.threshold, t, "left")
    price = (1 - prevalence) * t / (1 - t)
    return DecisionCurve(
        thresholds=t,
        model=prevalence * curve.sensitivity[at] - price * (1 - curve.specificity[at]),
        everyone=prevalence - price,
        prevalence=prevalence,
    )


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """Every threshold that matters, ascending to inf, with its sensitivity and specificity: (m,) each."""

    threshold: Floats
    sensitivity: Floats
    specificity: Floats

    def point(self, place: int, rule: str) -> OperatingPoint:
        return OperatingPoint(
            threshold=float(self.threshold[place]),
            sensitivity=float(self.sensitivity[place]),
            specificity=float(self.specificity[place]),
            rule=rule,
        )


def _curve(positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None) -> _Curve:
    is_positive, s = np.asarray(positive, bool), np.asarray(scores, np.float64)
    if is_positive.all() or not is_positive.any():
        raise ValueError("images of either side are missing: no threshold can be chosen")
    if np.isnan(s).any():
        raise ValueError(f"{np.isnan(s).sum()} of {s.size} scores are nan")
    threshold = np.r_[np.unique(s), math.inf]
    below = [_below(s[side], threshold, of_some(patients, side)) for side in (is_positive, ~is_positive)]
    return _Curve(threshold=threshold, sensitivity=1 - below[0], specificity=below[1])


def _below(scores: Floats, thresholds: Floats, patients: Sequence[Any] | None) -> NDArray[np.float64]:
    """Share of one side's images below each threshold, (m,), each patient counting the same."""
    order = np.argsort(scores, kind="stable")
    weights = equal_weights(patients, scores.size)[order]
    so_far = np.r_[0.0, np.cumsum(weights)] / weights.sum()
    so_far[-1] = 1.0
    return np.asarray(so_far[np.searchsorted(scores[order], thresholds, "left")])
