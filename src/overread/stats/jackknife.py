"""What each patient does to a figure, found by leaving the patient out: its variance, its skewness, its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_CHUNK_CELLS = 2_000_000
_ROUNDING = 1e-12
"""What moves a figure by less does not move it."""
_MAX_GROUPS = 1000
"""With more patients than this some are left out together, as many at a time as it takes: time stays bounded."""


@dataclass(frozen=True, kw_only=True)
class Jackknife:
    """Several figures, and how far each moves when a patient is left out."""

    value: Floats
    """(m,)"""
    influence: Floats
    """(g, m) mean over the stratum less the figure without that patient, or group of patients; nan where a figure
    has no meaning without them."""
    strata: Places
    """(g,) the stratum of each patient or group."""

    @property
    def variance(self) -> Floats:
        """(m,), of the stratified jackknife (Efron & Stein 1981): without bias for a mean."""
        return np.asarray(self._by_stratum()[0].sum(axis=0))

    @property
    def degrees(self) -> Floats:
        """(m,) degrees of freedom of that variance, after Satterthwaite (1946); inf where it is 0."""
        parts, sizes = self._by_stratum()
        squares = (parts**2 / np.maximum(1, sizes - 1)[:, None]).sum(axis=0)
        total = parts.sum(axis=0) ** 2
        return np.asarray(np.divide(total, squares, out=np.full_like(total, np.inf), where=squares > 0))

    @property
    def acceleration(self) -> Floats:
        """(m,) how the spread of each figure changes with its value: a of the BCa bootstrap (Efron 1987)."""
        known = np.nan_to_num(self.influence, nan=0.0)
        skew, spread = (known**3).sum(axis=0), (known**2).sum(axis=0) ** 1.5
        return np.asarray(np.divide(skew, 6 * spread, out=np.zeros_like(skew), where=spread > 0))

    def reach(self, level: float = 0.95) -> Floats:
        """(m,) how many standard deviations of a bootstrap an interval takes on each side: more than 1.96.

        A bootstrap of n patients has (n - 1) / n of the variance, and takes it for known: Student's t and that
        factor mend both (Hesterberg 2015, expanded percentiles).
        """
        parts, sizes = self._by_stratum()
        shrunk = (parts * ((sizes - 1) / sizes)[:, None]).sum(axis=0)
        total = parts.sum(axis=0)
        stretch = np.sqrt(np.divide(total, shrunk, out=np.ones_like(total), where=shrunk > 0))
        return np.asarray(stretch * stdtrit(self.degrees, (1 + level) / 2))

    def logit_interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Ends (m,) for figures that lie between 0 and 1, which the ends then do too: Student's t on the log odds.

        nan where a figure is 0 or 1, or does not vary: nothing can be said of it this way.
        """
        inside = (self.value > 0) & (self.value < 1) & (self.variance > 0)
        value = np.where(inside, self.value, np.nan)
        half = stdtrit(self.degrees, (1 + level) / 2) * np.sqrt(self.variance) / (value * (1 - value))
        return np.asarray(expit(logit(value) - half)), np.asarray(expit(logit(value) + half))

    def _by_stratum(self) -> tuple[Floats, Floats]:
        """Variance that each stratum brings, (h, m), and its number of patients or groups, (h,)."""
        names, sizes = np.unique(self.strata, return_counts=True)
        squares = np.nan_to_num(self.influence, nan=0.0) ** 2
        parts = [squares[self.strata == name].sum(axis=0) * (n - 1) / n for name, n in zip(names, sizes, strict=True)]
        return np.stack(parts), sizes.astype(np.float64)


def patient_jackknife(statistic: Callable[[Floats], Floats], units: ArrayLike, strata: ArrayLike) -> Jackknife:
    """Leave out each patient once, with all of the patient's images.

    statistic: takes weights (b, n), how often each image counts, and returns (b, m). units: (n,) int from 0, the
    patient of each image. strata: (n_units,) int, the group of each patient, whose size is taken as given. Assumes
    that patients are independent, and that the figures change smoothly with the weights (an AUROC does, a median
    does not).
    """
    unit_of, stratum_of = np.asarray(units, np.int64), np.asarray(strata, np.int64)
    value = statistic(np.ones((1, unit_of.size)))[0]
    group_of, group_strata = _groups(stratum_of)
    of_image, n = group_of[unit_of], group_strata.size
    size = max(1, _CHUNK_CELLS // max(1, unit_of.size))
    without = np.concatenate(
        [
            statistic((of_image != np.arange(start, min(start + size, n))[:, None]).astype(np.float64))
            for start in range(0, n, size)
        ]
    )
    influence = np.empty_like(without)
    for stratum in np.unique(group_strata):
        members = group_strata == stratum
        known = np.nan_to_num(without[members], nan=0.0)
        influence[members] = known.sum(axis=0) / np.maximum(1, (~np.isnan(without[members])).sum(axis=0))
    influence -= without
    influence[np.abs(influence) < _ROUNDING] = 0.0
    return Jackknife(value=value, influence=influence, strata=group_strata)


def _groups(strata: Places) -> tuple[Places, Places]:
    """Who is left out together: the group of each patient, (n_units,), and the stratum of each group."""
    group_of, group_strata = np.empty(strata.size, np.int64), list[int]()
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = members.size
        if strata.size > _MAX_GROUPS:
            n = min(n, max(20, n * _MAX_GROUPS // strata.size))
        group_of[members] = len(group_strata) + np.arange(members.size) % n
        group_strata += [int(stratum)] * n
    return group_of, np.asarray(group_strata, np.int64)
