"""Shares and means over images, sure only to the extent that their patients allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, stdtrit

from overread.stats.intervals import Measured, wilson
from overread.stats.patients import Floats, count_patients, equal_weights, patient_codes


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of images, and the number of independent images that would show it as surely."""

    value: float
    """0 to 1; nan without images."""
    size: float
    """The effective number of images: all of them where each is of its own patient, fewer where not."""
    n_images: int
    n_patients: int | None


def share(hits: ArrayLike, patients: Sequence[Any] | None = None, *, each_patient_once: bool = False) -> Share:
    """Share of images that are a hit, and its effective number of images.

    hits: (n,) bool. each_patient_once: the mean over patients of each one's own share, instead of over images.
    The design effect of Rao & Scott (1992), never below 1, with the correction of Korn & Graubard (1998) for few
    patients. Where all or none are hits nothing shows how alike a patient's images are: they count as copies.
    Assumes independent patients.
    """
    hit = np.asarray(hits, np.float64)
    known = count_patients(patients)
    if hit.size == 0:
        return Share(value=math.nan, size=0.0, n_images=0, n_patients=known)
    weights = equal_weights(patients, hit.size) if each_patient_once else np.ones(hit.size)
    codes = patient_codes(patients, hit.size)
    value = float(np.average(hit, weights=weights))
    size = _effective(hit, weights / weights.sum(), codes, value)
    return Share(value=value, size=size, n_images=hit.size, n_patients=known)


def _effective(hit: Floats, weights: Floats, codes: Any, value: float) -> float:
    """Images that are worth as much as these: (n,) hits and weights that sum to 1, patients numbered from 0."""
    n, n_patients = hit.size, int(codes.max()) + 1
    if n_patients in (n, 1):
        return float(n_patients)
    if value in (0, 1):
        return 1 / float((np.bincount(codes, weights=weights) ** 2).sum())
    influence = np.bincount(codes, weights=weights * (hit - value))
    variance = n_patients / (n_patients - 1) * float(influence @ influence)
    size = min(n, value * (1 - value) / variance) if variance > 0 else n
    return size * float(stdtrit(n - 1, 0.975) / stdtrit(n_patients - 1, 0.975)) ** 2


def measured_share(
    name: str,
    hits: ArrayLike,
    patients: Sequence[Any] | None = None,
    *,
    each_patient_once: bool = False,
    label: str | None = None,
) -> Measured:
    """Wilson's 95 % interval of a share, with the effective number of images of `share` in the place of n."""
    found = share(hits, patients, each_patient_once=each_patient_once)
    low, high = wilson(found.value * found.size, found.size) if found.n_images else (math.nan, math.nan)
    method = "Wilson's interval, images taken as independent"
    if found.n_patients is not None:
        method = f"Wilson's interval of {found.size:.0f} effective images (Rao & Scott), by patient"
    return Measured(
        name=name,
        value=found.value,
        low=low,
        high=high,
        n_images=found.n_images,
        n_patients=found.n_patients,
        method=method if found.n_images else "no image",
        label=label,
    )


def measured_mean(
    name: str, values: ArrayLike, patients: Sequence[Any] | None = None, *, each_patient_once: bool = False
) -> Measured:
    """Mean of a number over images, with Student's 95 % interval by patient.

    values: (n,) float. Assumes independent patients, enough of them that their mean is near normal; no interval
    for fewer than two, nor where all values are the same.
    """
    x = np.asarray(values, np.float64)
    weights = equal_weights(patients, x.size) if each_patient_once else np.ones(x.size)
    codes = patient_codes(patients, x.size)
    mean = float(np.average(x, weights=weights)) if x.size else math.nan
    half, n_patients = math.nan, np.unique(codes).size
    method = "Student's interval by patient" if patients is not None else "Student's interval, images independent"
    if n_patients < 2:
        method = "no image" if not x.size else "no interval: one " + ("image" if patients is None else "patient")
    elif x.min() == x.max():
        method = "no interval: all are the same"
    else:
        influence = np.bincount(codes, weights=weights * (x - mean) / weights.sum())
        error = math.sqrt(n_patients / (n_patients - 1) * float(influence @ influence))
        half = float(stdtrit(n_patients - 1, 0.975)) * error
    return Measured(
        name=name,
        value=mean,
        low=mean - half,
        high=mean + half,
        n_images=x.size,
        n_patients=count_patients(patients),
        method=method,
    )


def most(k: int, n: int, *, confidence: float = 0.95) -> float:
    """Largest share that k of n independent trials leave believable: one-sided, Clopper & Pearson (1934).

    Exact: the true share is above it in at most 1 - confidence of all such samples. 1 for n = 0.

    >>> round(most(0, 59), 3)
    0.05
    """
    return 1.0 if k >= n else float(betaincinv(k + 1, n - k, confidence))
