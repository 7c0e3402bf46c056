"""How sure a figure is: a value with its 95 % interval, and the ways to get one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.jackknife import Jackknife, patient_jackknife
from overread.stats.patients import patient_codes

Floats = NDArray[np.float64]
_NORMAL = NormalDist()
_CHUNK_CELLS = 2_000_000
"""Resamples are worked through so many weights at a time (16 MB): memory does not grow with the cohort."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure of a model: what it is, how sure it is, and how much it was measured on."""

    name: str
    value: float
    """nan where the figure has no meaning, such as the sensitivity of a class without images."""
    low: float
    high: float
    """Ends of the 95 % interval; nan where none can be given, and `method` says why."""
    n_images: int
    n_patients: int | None
    """None where patients are unknown."""
    method: str
    """How the interval was made, and what to beware of; a phrase to print."""
    part: str = "test"
    label: str | None = None
    """The class that the figure is of; None for all classes together."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no nan: None stands for it."""
        values = dataclasses.asdict(self)
        return {key: None if _is_nan(value) else value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measured:
        """Undo `to_json`."""
        numbers = {key: math.nan if values[key] is None else values[key] for key in ("value", "low", "high")}
        return cls(**{**values, **numbers})

    def __str__(self) -> str:
        """Value and interval to three places: `0.846 (0.790 to 0.894)`."""
        if math.isnan(self.value):
            return "-"
        if math.isnan(self.low):
            return f"{self.value:.3f} (no interval)"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def wilson(k: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion, k of n: Wilson (1927), advised by Brown, Cai & DasGupta (2001).

    Assumes n independent trials. Stays within 0 to 1, and has a width at 0 of n and at n of n.
    (nan, nan) for n = 0.

    >>> wilson(27, 27)
    (0.8754..., 1.0)
    """
    if n <= 0:
        return math.nan, math.nan
    z = _NORMAL.inv_cdf((1 + level) / 2)
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def newcombe_auroc(value: float, n_positive: int, n_negative: int, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of an AUROC from its value and the two sample sizes: Newcombe (2006), method 5.

    Has a width where the two groups do not overlap at all and resampling finds none. Assumes independent
    units and the variance of Hanley & McNeil (1982) with both sizes replaced by their mean inside it.
    """
    z2 = _NORMAL.inv_cdf((1 + level) / 2) ** 2
    mean_size = (n_positive + n_negative) / 2

    def outside(theta: float) -> bool:
        spread = 1 + (mean_size - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (n_positive * n_negative)
        return (value - theta) ** 2 > z2 * variance

    return _edge(outside, 0.0, value), _edge(outside, 1.0, value)


def _edge(outside: Callable[[float], bool], far: float, near: float) -> float:
    """Where `outside` turns from true to false on the way from `far` to `near`."""
    if not outside(far):
        return far
    for _ in range(60):
        middle = (far + near) / 2
        far, near = (middle, near) if outside(middle) else (far, middle)
    return near


def patient_bootstrap(
    statistic: Callable[[Floats], Floats],
    units: ArrayLike,
    strata: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Intervals of several figures at once, by drawing whole patients with replacement.

    statistic: takes weights (b, n), how often each image counts in each of b resamples, and returns (b, m).
    units: (n,) int from 0, the patient of each image. strata: (n_units,) int, the group of each patient;
    as many patients are drawn from each group as it has, so a class does not vanish from a resample.
    Returns low and high, (m,) each: BCa intervals (Efron 1987), whose acceleration comes from leaving out
    each patient once, as does the width that few patients ask for (`jackknife.Jackknife.reach`). A resample
    in which a figure has no meaning is left out of that figure's interval; nan where the figure itself has none.

    Assumes that patients are independent of each other, and that those here stand for those to come.
    """
    unit_of, stratum_of = np.asarray(units, np.int64), np.asarray(strata, np.int64)
    left_out = patient_jackknife(statistic, unit_of, stratum_of)
    size = max(1, _CHUNK_CELLS // max(1, unit_of.size))
    figures = []
    for start in range(0, n_resamples, size):
        draws = _draw(stratum_of, min(size, n_resamples - start), rng)
        figures.append(statistic(draws[:, unit_of]))
    return _bca(np.concatenate(figures), left_out, level)


def _draw(strata: NDArray[np.int64], count: int, rng: np.random.Generator) -> Floats:
    """How often each unit is drawn, (count, n_units): multinomial within each stratum."""
    drawn = np.zeros((count, strata.size))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        even = np.full(members.size, 1 / members.size)
        drawn[:, members] = rng.multinomial(members.size, even, size=count)
    return drawn


def _bca(figures: Floats, left_out: Jackknife, level: float) -> tuple[Floats, Floats]:
    """Percentiles of each column, corrected for bias, for acceleration and for few patients."""
    ends = np.full((2, left_out.value.size), np.nan)
    acceleration, reach = left_out.acceleration, left_out.reach(level)
    for j, observed in enumerate(left_out.value):
        column = figures[~np.isnan(figures[:, j]), j]
        if column.size == 0 or np.isnan(observed):
            continue
        below = ((column < observed).sum() + 0.5 * (column == observed).sum()) / column.size
        tail = 1 / (column.size + 1)
        bias = _NORMAL.inv_cdf(min(max(below, tail), 1 - tail))
        # Far from the middle the divisor could pass through 0 and turn the interval over.
        corrected = [bias + (bias + q) / max(1 - acceleration[j] * (bias + q), 0.1) for q in (-reach[j], reach[j])]
        ends[:, j] = np.quantile(column, [_NORMAL.cdf(q) for q in corrected])
    return ends[0], ends[1]


@dataclass(frozen=True, kw_only=True)
class Areas:
    """AUROCs of several models on the same images, and how they vary together."""

    value: Floats
    """(m,), nan where images of either side are missing, or a score is nan."""
    covariance: Floats
    """(m, m), nan where either side has fewer than two patients."""
    n_patients: tuple[int, int]
    """Those with an image of the class, and those with an image that is not of it."""


def delong(positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None = None) -> tuple[float, float]:
    """AUROC of one model and its variance: `delong_areas` of scores (n,)."""
    areas = delong_areas(positive, np.asarray(scores, np.float64)[None], patients)
    return float(areas.value[0]), float(areas.covariance[0, 0])


def delong_areas(positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None = None) -> Areas:
    """AUROCs and their covariance from the placement of each image among those of the other side.

    positive: (n,) bool. scores: (m, n) float, a row a model. patients: (n,), or None where each image is its
    own patient. DeLong, DeLong & Clarke-Pearson (1988); with patients, the clustered form of Obuchowski
    (1997), which needs patients to be independent, not images.
    """
    is_positive, s = np.asarray(positive, bool), np.asarray(scores, np.float64)
    codes = patient_codes(patients, is_positive.size)
    sides = is_positive, ~is_positive
    n_up, n_down = np.unique(codes[sides[0]]).size, np.unique(codes[sides[1]]).size
    nothing = np.full((len(s), len(s)), np.nan)
    if min(n_up, n_down) == 0:
        return Areas(value=nothing[:, 0], covariance=nothing, n_patients=(n_up, n_down))
    placed = np.stack([_placements(is_positive, row) for row in s])
    value = placed[:, is_positive].mean(axis=1)
    if min(n_up, n_down) < 2:
        return Areas(value=value, covariance=nothing, n_patients=(n_up, n_down))
    off, n = placed - value[:, None], int(codes.max()) + 1
    up, down = (
        np.stack([np.bincount(codes, weights=row * side / side.sum(), minlength=n) for row in off]) for side in sides
    )
    both = up @ down.T
    covariance = (
        n_up / (n_up - 1) * (up @ up.T) + n_down / (n_down - 1) * (down @ down.T) + n / (n - 1) * (both + both.T)
    )
    return Areas(value=value, covariance=covariance, n_patients=(n_up, n_down))


def _placements(is_positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Share of the other side that each image is on the right side of, (n,), a tie counting half."""
    if np.isnan(scores).any():  # a network that diverged has no order
        return np.full(scores.size, np.nan)
    placed = np.empty(scores.size)
    placed[is_positive] = _share_below(scores[is_positive], scores[~is_positive])
    placed[~is_positive] = 1 - _share_below(scores[~is_positive], scores[is_positive])
    return placed


def _share_below(values: Floats, others: Floats) -> Floats:
    """Share of `others` below each value, a tie counting half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * ordered.size)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
