"""What lies beside what: whether images of one kind are neighbours, and a plane to see them in.

A network's features are points; their distance is Euclid's. Whoever calls decides whether to standardise them first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.patients import Floats, Places, patient_codes

_CHUNK_CELLS = 2_000_000
"""Distances are held so many at a time (16 MB): memory does not grow with the square of the images."""
_EQUAL = 1e-12
"""Points that differ by less than this share of their squared lengths are the same: the rest is rounding."""
_TIED = 1e-10
_AXES = 2


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Points laid flat, along the two directions in which they differ most."""

    points: Floats
    """(n, 2), about their mean; 0 along a direction that does not exist."""
    shares: Floats
    """(2,) how much of the whole variance each direction holds, 0 to 1; nan where nothing varies."""


def purity(features: ArrayLike, labels: Sequence[Any], *, k: int = 5, groups: Sequence[Any] | None = None) -> Floats:
    """Share of each image's k nearest others that have its label: (n,), 0 to 1.

    features: (n, d) float. labels: (n,). groups: (n,), such as patients; images of one's own are no neighbours, since
    the slices of a patient are alike whatever else is true of them. Where several are equally near, and not all are
    among the k, each counts a part. Where fewer than k are left, these count; nan where all are of one group.
    Raises ValueError where features are not finite, or do not fit the labels.
    """
    if k < 1:
        raise ValueError(f"k is {k}; an image has 1 or more neighbours")
    x, of, group = _checked(features, labels, groups)
    if np.unique(group).size < 2:
        return np.full(len(x), np.nan)
    found = np.empty(len(x))
    lengths = (x**2).sum(axis=1)
    others = len(x) - np.bincount(group)[group]
    for rows, squared in _distances(x):
        squared[group[rows, None] == group] = np.inf
        reach = np.minimum(k, others[rows])
        last = np.sort(np.partition(squared, reach.max() - 1, axis=1)[:, : reach.max()], axis=1)
        farthest = last[np.arange(len(reach)), reach - 1][:, None]
        slack = _TIED * (lengths[rows, None] + farthest)
        alike = of[rows, None] == of
        nearer, tied = squared < farthest - slack, np.abs(squared - farthest) <= slack
        part = (reach - nearer.sum(axis=1)) / tied.sum(axis=1)
        found[rows] = ((nearer & alike).sum(axis=1) + part * (tied & alike).sum(axis=1)) / reach
    return found


def expected_purity(labels: Sequence[Any], groups: Sequence[Any] | None = None) -> float:
    """Mean purity of images whose neighbours are drawn blindly from the images of other groups: 0 to 1.

    labels, groups: (n,). nan where all are of one group. It is the mean over all ways of dealing the labels out to
    whole groups, where each group has one label.
    """
    of, group = patient_codes(labels, len(labels)), patient_codes(groups, len(labels))
    if np.unique(group).size < 2:
        return float("nan")
    both = np.unique(np.stack([of, group]), axis=1, return_inverse=True)[1].ravel()
    alike = np.bincount(of)[of] - np.bincount(both)[both]
    return float(np.mean(alike / (of.size - np.bincount(group)[group])))


def silhouette(features: ArrayLike, labels: Sequence[Any], groups: Sequence[Any] | None = None) -> Floats:
    """How much nearer each image is to its own label's images than to the next label's: Rousseeuw (1987).

    features: (n, d) float. labels, groups: (n,); images of one's own group are left out of every mean distance.
    (n,), -1 to 1: 1 is well within its own. 0 where no other image has its label (as in the paper), or where no other
    label has an image to compare with; nan for all where there is one label. ValueError as for `purity`.
    """
    x, of, group = _checked(features, labels, groups)
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.diff(of[order], prepend=-1))
    if len(starts) < 2:
        return np.full(len(x), np.nan)
    found = np.empty(len(x))
    for rows, squared in _distances(x, order):
        other = group[rows, None] != group[order]
        counts = np.add.reduceat(other, starts, axis=1, dtype=np.int64)
        sums = np.add.reduceat(np.sqrt(squared) * other, starts, axis=1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
        place = np.arange(len(means)), of[rows]
        own = means[place].copy()
        means[place] = np.inf
        found[rows] = _between(own, means.min(axis=1))
    return found


def principal_plane(features: ArrayLike) -> Plane:
    """Lay points (n, d) flat by their principal components: Pearson (1901).

    The sign of each is such that its largest loading (the first of equal ones) is positive: the same points make the
    same plane. ValueError where features are not finite, or there are none.
    """
    x = _about_medians(features)
    x = x - x.mean(axis=0)
    _, spread, directions = np.linalg.svd(x, full_matrices=False)
    size = np.abs(directions)
    first = np.argmax(size >= (1 - 1e-6) * size.max(axis=1, keepdims=True), axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), first])[:, None]
    points, shares = np.zeros((len(x), _AXES)), np.zeros(_AXES)
    kept = min(_AXES, len(spread))
    points[:, :kept] = x @ directions[:kept].T
    total = float((spread**2).sum())
    if total > 0:
        shares[:kept] = spread[:kept] ** 2 / total
    return Plane(points=points, shares=shares if total > 0 else np.full(_AXES, np.nan))


def _between(own: Floats, next_best: Floats) -> Floats:
    """Silhouettes (n,) of mean distances (n,) to one's own and to the next; inf where there is none."""
    larger = np.maximum(own, next_best)
    known = np.isfinite(larger) & (larger > 0)
    return np.divide(next_best - own, larger, out=np.zeros_like(own), where=known)


def _distances(x: Floats, order: Places | None = None) -> Iterator[tuple[slice, Floats]]:
    """Squared distances (b, n) of some points from all, in `order`, block by block."""
    lengths = (x**2).sum(axis=1)
    to = slice(None) if order is None else order
    others, other_lengths = x[to], lengths[to]
    size = max(1, _CHUNK_CELLS // len(x))
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        both = lengths[rows, None] + other_lengths
        squared = both - 2 * (x[rows] @ others.T)
        squared[squared <= _EQUAL * both] = 0
        yield rows, squared


def _checked(
    features: ArrayLike, labels: Sequence[Any], groups: Sequence[Any] | None
) -> tuple[Floats, Places, Places]:
    """Features about their medians, labels and groups numbered from 0."""
    x = _about_medians(features)
    of, group = patient_codes(labels, len(labels)), patient_codes(groups, len(labels))
    if len(of) != len(x):
        raise ValueError(f"{len(x)} rows of features and {len(of)} labels do not match")
    return x, of, group


def _about_medians(features: ArrayLike) -> Floats:
    x: NDArray[np.float64] = np.asarray(features, np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"features have the shape {x.shape}; they are one row of numbers an image")
    if not np.isfinite(x).all():
        raise ValueError(f"features of {int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} images are not finite")
    # a median of equal values is that value to the last digit, which a mean need not be: equal rows become 0
    return np.asarray(x - np.median(x, axis=0))
