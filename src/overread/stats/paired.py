"""Tests of two models on the same images, patient by patient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata

from overread.stats.intervals import delong_areas
from overread.stats.patients import Floats, Places, count_patients, equal_weights, patient_codes

_CHUNK_CELLS = 2_000_000
"""Swaps are worked through so many scores at a time (16 MB)."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same images: how far apart, how sure that is, and how often chance would do it."""

    figure: str
    first: float
    second: float
    p: float
    """How often two models that do not differ come out as far apart, on either side; nan where it cannot be said."""
    test: str
    """How p was made, a phrase to print."""
    center: float
    """Middle of the interval of first - second: the difference itself, or a little nearer to 0."""
    standard_error: float
    degrees: float
    """Degrees of freedom of Student's t; inf for the normal distribution."""
    n_images: int | None
    n_patients: int | None
    why: str = ""
    """Why this test and no other, a phrase to print."""

    @property
    def difference(self) -> float:
        """First less second: positive where the first is better."""
        return self.first - self.second

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of the difference; nan where no standard error could be had."""
        half = _quantile((1 + level) / 2, self.degrees) * self.standard_error
        return self.center - half, self.center + half

    def tail(self, shift: float) -> float:
        """How often a true difference of `shift` would give one as low as this: one-sided p."""
        return _below((self.center - shift) / self.standard_error, self.degrees)


def delong_test(
    positive: ArrayLike, first: ArrayLike, second: ArrayLike, patients: Sequence[Any] | None = None
) -> Comparison:
    """Whether two AUROCs on the same images differ: DeLong et al. (1988), by patient Obuchowski (1997).

    positive: (n,) bool. first, second: (n,) float, a score a model. patients: (n,). Student's t with the patients
    of the rarer side less one in the place of the normal distribution. Assumes independent patients, enough of
    them in each class that an area is near normal; 20 are.
    """
    areas = delong_areas(positive, np.stack([np.asarray(first), np.asarray(second)]), patients)
    (a, b), cov = areas.value, areas.covariance
    error = math.sqrt(max(0.0, cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])) if not np.isnan(cov).any() else math.nan
    error = error if error > 1e-12 else math.nan
    degrees = float(max(1, min(areas.n_patients) - 1))
    return Comparison(
        figure="AUROC",
        first=float(a),
        second=float(b),
        p=_two_sided(float(a - b), error, degrees),
        test="DeLong's test" if patients is None else "DeLong's test by patient (Obuchowski)",
        center=float(a - b),
        standard_error=error,
        degrees=degrees,
        n_images=np.size(positive),
        n_patients=count_patients(patients),
    )


def swap_test(
    positive: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    rng: np.random.Generator,
    patients: Sequence[Any] | None = None,
    n_swaps: int = 1999,
) -> Comparison:
    """Whether two AUROCs differ, by swapping the models' ranks patient by patient: Bandos et al. (2005).

    Arguments as for `delong_test`, whose interval it keeps. Needs no large sample. Assumes that models which do
    not differ could have given each other's ranks: models whose areas agree and whose curves do not may be told
    apart.
    """
    found = delong_test(positive, first, second, patients)
    if math.isnan(found.difference):
        return _with_p(found, math.nan, "no test: images of either side are missing, or scores")
    is_positive = np.asarray(positive, bool)
    ranks = np.stack([rankdata(np.asarray(first)), rankdata(np.asarray(second))])
    codes = patient_codes(patients, is_positive.size)
    size, as_far = max(1, _CHUNK_CELLS // codes.size), 0
    for start in range(0, n_swaps, size):
        swap = rng.random((min(size, n_swaps - start), codes.max() + 1)) < 0.5
        mixed = [np.where(swap[:, codes], ranks[1 - k], ranks[k]) for k in (0, 1)]
        gap = _areas(mixed[0], is_positive) - _areas(mixed[1], is_positive)
        as_far += int((np.abs(gap) >= abs(found.difference) - 1e-12).sum())
    return _with_p(found, (1 + as_far) / (1 + n_swaps), f"{n_swaps:,} swaps of the models, patient by patient")


def mcnemar(first_right: ArrayLike, second_right: ArrayLike, patients: Sequence[Any] | None = None) -> Comparison:
    """Whether two accuracies on the same images differ, exactly: McNemar (1947), mid-p (Fagerland et al. 2013).

    first_right, second_right: (n,) bool, whether each model was right. patients: (n,), whose images then change sides
    together: all ways in which the patients' differences could have had the other sign are counted, which for one
    image a patient is McNemar's binomial. Assumes that models which do not differ could have
    given each other's answers.
    """
    gaps = np.asarray(first_right, np.int64) - np.asarray(second_right, np.int64)
    sums = np.bincount(patient_codes(patients, gaps.size), weights=gaps).astype(np.int64)
    test = "McNemar's exact test (mid-p)" if patients is None else "McNemar's exact test (mid-p), patient by patient"
    return _accuracies(first_right, second_right, patients, p=_sign_flips(sums), test=test)


def mcnemar_clustered(
    first_right: ArrayLike, second_right: ArrayLike, patients: Sequence[Any], *, each_patient_once: bool = False
) -> Comparison:
    """Whether two accuracies differ, in large samples with several images a patient: Obuchowski (1998).

    Arguments as for `mcnemar`. each_patient_once: compare the means over patients of each one's own accuracy, and
    not the accuracies by image: Durkalski et al. (2003). Assumes independent patients, of whom 25 or more differ.
    """
    gaps = np.asarray(first_right, np.float64) - np.asarray(second_right, np.float64)
    weights = equal_weights(patients, gaps.size) if each_patient_once else np.ones(gaps.size)
    codes = patient_codes(patients, gaps.size)
    sums, n = np.bincount(codes, weights=weights * gaps), int(codes.max()) + 1
    spread = math.sqrt(float(sums @ sums) * (1 if each_patient_once or n < 2 else n / (n - 1)))
    p = _two_sided(float(sums.sum()), spread if spread else math.nan, math.inf)
    name = "Durkalski" if each_patient_once else "Obuchowski"
    test = f"McNemar's test by patient ({name})"
    return _accuracies(first_right, second_right, patients, p=p, test=test, weights=weights)


def resampled_t(first: ArrayLike, second: ArrayLike, *, n_train: int, n_test: int, figure: str) -> Comparison:
    """Whether two ways of training differ, from repeated cross-validation: Nadeau & Bengio (2003).

    first, second: (folds,) float, the figure of each on the same test folds. n_train, n_test: patients in a
    typical training and test part. The plain t-test takes folds as independent though their training parts overlap;
    the corrected variance is larger by the factor 1 + folds x n_test / n_train. Assumes about normal differences.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    gaps, degrees = a - b, float(max(1, a.size - 1))
    error = math.nan
    if a.size > 1:
        error = math.sqrt((1 / a.size + n_test / n_train) * float(gaps.var(ddof=1)))
    error = error if error > 1e-12 else math.nan
    return Comparison(
        figure=figure,
        first=float(a.mean()),
        second=float(b.mean()),
        p=_two_sided(float(gaps.mean()), error, degrees),
        test=f"corrected resampled t-test of {a.size} folds (Nadeau & Bengio)",
        center=float(gaps.mean()),
        standard_error=error,
        degrees=degrees,
        n_images=None,
        n_patients=n_train + n_test,
    )


def _accuracies(
    first_right: ArrayLike,
    second_right: ArrayLike,
    patients: Sequence[Any] | None,
    *,
    p: float,
    test: str,
    weights: Floats | None = None,
) -> Comparison:
    """Two accuracies with the interval of Agresti & Min (2005): half an image added to each of the four cells.

    With patients the images count as the effective number that has the same variance by patient (Rao & Scott 1992).
    """
    a, b = np.asarray(first_right, np.float64), np.asarray(second_right, np.float64)
    w = np.ones(a.size) if weights is None else weights
    w = w / w.sum()
    codes = patient_codes(patients, a.size)
    gap, unlike = float(w @ (a - b)), float(w @ np.abs(a - b))
    size = _effective(w, a - b - gap, codes, unlike - gap**2)
    center = gap * size / (size + 2)
    variance = ((unlike * size + 1) / (size + 2) - center**2) / (size + 2)
    n_patients = np.unique(codes).size
    return Comparison(
        figure="accuracy",
        first=float(w @ a),
        second=float(w @ b),
        p=p,
        test=test,
        center=center,
        standard_error=math.sqrt(variance),
        degrees=math.inf if n_patients in (1, a.size) else n_patients - 1.0,
        n_images=a.size,
        n_patients=count_patients(patients),
    )


def _effective(weights: Floats, off: Floats, codes: Places, single: float) -> float:
    """Independent images with the variance `single` each whose mean varies as that of these by patient."""
    n_patients = int(codes.max()) + 1
    if n_patients in (1, weights.size):
        return float(n_patients)
    sums = np.bincount(codes, weights=weights * off)
    variance = n_patients / (n_patients - 1) * float(sums @ sums)
    copies = 1 / float((np.bincount(codes, weights=weights) ** 2).sum())
    return min(single / variance, weights.size) if variance > 0 and single > 0 else copies


def _sign_flips(sums: Places) -> float:
    """Two-sided mid-p of the sum when each of (patients,) whole numbers may have either sign."""
    sizes = np.abs(sums[sums != 0])
    chance, seen = np.ones(1), abs(int(sums.sum()))
    for size in sizes:
        wider = np.zeros(chance.size + 2 * size)
        wider[: chance.size] += chance / 2
        wider[2 * size :] += chance / 2
        chance = wider
    reach = np.abs(np.arange(chance.size) - chance.size // 2)
    return 1.0 if seen == 0 else float(chance[reach > seen].sum() + chance[reach == seen].sum() / 2)


def _areas(scores: Floats, is_positive: Any) -> Floats:
    """AUROC of each row of scores, (b, n) to (b,)."""
    n = int(is_positive.sum())
    above = rankdata(scores, axis=1)[:, is_positive].sum(axis=1) - n * (n + 1) / 2
    return np.asarray(above / (n * (is_positive.size - n)))


def _with_p(found: Comparison, p: float, test: str) -> Comparison:
    return Comparison(**{**found.__dict__, "p": p, "test": test})


def _two_sided(gap: float, error: float, degrees: float) -> float:
    """P of a difference; 1 where there is none, nan where it has no spread."""
    return 1.0 if abs(gap) < 1e-12 else 2 * _below(-abs(gap) / error, degrees)


def _below(t: float, degrees: float) -> float:
    return float(stdtr(degrees, t))


def _quantile(share: float, degrees: float) -> float:
    return float(stdtrit(degrees, share))
