"""What would mend probabilities that are too sure: a temperature, or a slope and an intercept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, stdtrit

from overread.stats.intervals import Measured
from overread.stats.patients import Floats, Places, count_patients, equal_weights, patient_codes

_COOLEST, _HOTTEST = 0.05, 20.0
_FLAT = 1e-9
_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """The number that logits are divided by before the softmax: above 1 makes a network less sure."""

    value: float
    loss_before: float
    """Log loss (nats) at temperature 1, each patient counting the same."""
    loss_after: float
    at_edge: bool
    """The search ended at its edge (0.05 or 20): all images are right, or the logits say nothing. Do not use it."""


@dataclass(frozen=True, kw_only=True)
class CalibrationLine:
    """How the log odds of the event follow those that were predicted: 1 and 0 are perfect (Cox 1958)."""

    slope: Measured
    """Below 1: too sure, probabilities too near 0 and 1."""
    intercept: Measured
    """With the slope held at 1, calibration in the large: above 0, the event is commoner than predicted."""


def fit_temperature(truth: ArrayLike, logits: ArrayLike, patients: Sequence[Any] | None = None) -> Temperature:
    """Temperature with the least log loss on a calibration part: Guo et al. (2017).

    truth: (n,) int. logits: (n, k) float. patients: (n,), each of whom counts the same. No prediction changes, only
    how sure it is. Assumes the same excess of certainty in all images. ValueError without images.
    """
    t, z = np.asarray(truth, np.int64), np.asarray(logits, np.float64)
    if not t.size:
        raise ValueError("no images: there is no temperature")
    w = equal_weights(patients, t.size)

    def loss(log_temperature: float) -> float:
        of_truth = log_softmax(z / math.exp(log_temperature), axis=1)[np.arange(t.size), t]
        return -float(np.average(of_truth, weights=w))

    ends = math.log(_COOLEST), math.log(_HOTTEST)
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    # the loss is flat towards an edge, where the search stops anywhere
    edge = min(ends, key=loss)
    at_edge = loss(edge) <= found.fun + _FLAT
    return Temperature(
        value=math.exp(edge if at_edge else found.x),
        loss_before=loss(0.0),
        loss_after=loss(edge) if at_edge else float(found.fun),
        at_edge=bool(at_edge),
    )


def calibration_line(
    happened: ArrayLike, probability: ArrayLike, patients: Sequence[Any] | None = None
) -> CalibrationLine:
    """Slope and intercept of calibration for two classes, with 95 % intervals by patient.

    happened: (n,) bool. probability: (n,) float of that event. Logistic regression on the predicted log odds;
    the variance is the sandwich with the patients' sums (Liang & Zeger 1986), Student's t with two patients fewer
    than there are. nan, and why, where the event can be told without error, so that no slope is steep enough, or
    where all probabilities are the same.
    Probabilities of 0 and 1 count as 1e-6 from them.
    """
    event = np.asarray(happened, np.float64)
    x = logit(np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6))
    codes, ones = patient_codes(patients, event.size), np.ones_like(x)
    sloped = _fit(np.stack([x, ones], axis=1), np.zeros_like(x), event, codes)
    level = _fit(ones[:, None], x, event, codes)
    known, n_units = count_patients(patients), int(codes.max(initial=-1)) + 1
    return CalibrationLine(
        slope=_measured("calibration slope", sloped, event.size, known, n_units),
        intercept=_measured("calibration intercept", level, event.size, known, n_units),
    )


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """First coefficient of a logistic regression and its standard error; nan where none was reached."""

    value: float = math.nan
    error: float = math.nan


def _fit(columns: Floats, offset: Floats, event: Floats, codes: Places) -> _Fit:
    """Newton's method from 0; columns (n, d), offset (n,), event (n,), patients numbered from 0."""
    if not event.size:
        return _Fit()
    beta = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        p = expit(columns @ beta + offset)
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns
        if np.linalg.cond(curvature) > 1e10:
            return _Fit()
        step = np.linalg.solve(curvature, columns.T @ (event - p))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    else:
        return _Fit()
    score = columns * (event - p)[:, None]
    sums = np.stack([np.bincount(codes, weights=column) for column in score.T], axis=1)
    bread, n = np.linalg.inv(curvature), len(sums)
    covariance = bread @ (sums.T @ sums) @ bread * (n / (n - 1) if n > 1 else math.nan)
    return _Fit(value=float(beta[0]), error=math.sqrt(covariance[0, 0]))


def _measured(name: str, fit: _Fit, n_images: int, known: int | None, n_units: int) -> Measured:
    half = float(stdtrit(max(1, n_units - 2), 0.975)) * fit.error
    method = "sandwich variance by patient" if known is not None else "sandwich variance, images independent"
    if math.isnan(fit.value):
        method = "none: the event is told without error, always or never there, or all probabilities are the same"
    elif math.isnan(fit.error):
        method = "no interval: one patient" if known is not None else "no interval: one image"
    return Measured(
        name=name,
        value=fit.value,
        low=fit.value - half,
        high=fit.value + half,
        n_images=n_images,
        n_patients=known,
        method=method,
    )
