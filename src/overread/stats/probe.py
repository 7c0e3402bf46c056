"""How well a class is told from a few numbers, and how well it would be told by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

PERMUTATIONS = 999
_RIDGE = 1.0
"""pull of the weights towards zero, in units of one image a weight; fixed, so that nothing is chosen on the result"""
_COLUMNS_AT_ONCE = 300


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well the class is told from some numbers, on units that the classifier was not fitted on."""

    auroc: float
    """one class against the others, mean over the classes"""
    balanced_accuracy: float
    p: float
    """share of permutations of the labels, and the observed, that are told as well: at least 1 in 1,000"""
    null_95: float
    """the AUROC that 95 of 100 permutations stay below"""
    n_images: int
    n_units: int


def probe(
    x: Floats,
    labels: Places,
    *,
    units: Places,
    folds: Places,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> Probe:
    """Tell the class from x by ridge regression onto the classes, cross-validated, with a permutation test.

    x: (n, d), scaled within each fold. labels: (n,) from 0. units: (n,), the patient of each image, or the image
    itself. folds: (n,), whole units in each. The scores are linear in the labels, so that every permutation costs a
    column of one matrix product (Ojala & Garriga 2010 for the test). Units exchange their labels as wholes, so that
    only units need be independent; a unit that has several labels gives all of them away, in random order.
    """
    n_classes = int(labels.max()) + 1
    shuffled = [labels, *(_permuted(labels, units, rng) for _ in range(permutations))]
    areas, first = [], None
    size = max(1, _COLUMNS_AT_ONCE // n_classes)
    maps = [_fold_map(x, folds, fold) for fold in np.unique(folds)]
    for start in range(0, len(shuffled), size):
        chunk = np.stack(shuffled[start : start + size])
        scores = _scores(maps, _one_hot(chunk, n_classes))
        areas.append(_macro_auroc(scores, chunk))
        first = scores[:, 0] if first is None else first
    auroc = np.concatenate(areas)
    assert first is not None
    right = first.argmax(axis=1) == labels
    return Probe(
        auroc=float(auroc[0]),
        balanced_accuracy=float(np.mean([right[labels == code].mean() for code in np.unique(labels)])),
        p=float((auroc >= auroc[0] - 1e-12).mean()),
        null_95=float(np.quantile(auroc[1:], 0.95)) if permutations else float("nan"),
        n_images=len(labels),
        n_units=len(np.unique(units)),
    )


def out_of_fold(x: Floats, labels: Places, folds: Places) -> Floats:
    """The scores of each class, (n, k), by the ridge regression of `probe`, each image's by the other folds."""
    truth = _one_hot(labels[None], int(labels.max()) + 1)
    result: Floats = _scores([_fold_map(x, folds, fold) for fold in np.unique(folds)], truth)[:, 0]
    return result


def holm(p: Sequence[float]) -> list[float]:
    """P-values corrected for their number, in their order: Holm (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in corrected]


def _permuted(labels: Places, units: Places, rng: np.random.Generator) -> Places:
    """The labels of each unit given to another; a larger one repeats them, a smaller one takes some at random."""
    distinct, first, unit_of, size = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    donor = rng.permutation(len(distinct))
    own = labels[first]
    if (own[unit_of] == labels).all():
        return own[donor][unit_of]
    order = np.lexsort((rng.random(len(labels)), unit_of))
    start, takes = np.cumsum(size) - size, unit_of[order]
    rank = np.arange(len(labels)) - start[takes]
    given = np.empty_like(labels)
    given[order] = labels[order][start[donor[takes]] + rank % size[donor[takes]]]
    return given


def _one_hot(labels: Places, n_classes: int) -> Floats:
    """(p, n) labels as (n, p, n_classes)."""
    return np.asarray(labels.T[..., None] == np.arange(n_classes), np.float64)


@dataclass(frozen=True, kw_only=True)
class _FoldMap:
    """What one fold's scores are of the other folds' labels: held = rows @ (weights @ labels of learnt)."""

    held: Places
    learnt: Places
    rows: Floats
    weights: Floats


def _fold_map(x: Floats, folds: Places, fold: int) -> _FoldMap:
    held, learnt = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
    mean, spread = x[learnt].mean(axis=0), x[learnt].std(axis=0)
    scaled = (x - mean) / np.where(spread > 1e-9, spread, 1.0)
    rows = scaled[learnt]
    weights = np.linalg.solve(rows.T @ rows + (_RIDGE + rows.shape[1]) * np.eye(rows.shape[1]), rows.T)
    # beyond what was seen a line runs away: one wild value must not decide
    return _FoldMap(held=held, learnt=learnt, rows=scaled[held].clip(-5, 5), weights=weights)


def _scores(maps: list[_FoldMap], truth: Floats) -> Floats:
    """Out-of-fold scores (n, p, k) of labels (n, p, k): how far each class is above its share."""
    scores = np.empty_like(truth)
    shape = truth.shape[1:]
    for one in maps:
        known = truth[one.learnt]
        centred = (known - known.mean(axis=0)).reshape(len(known), -1)
        scores[one.held] = (one.rows @ (one.weights @ centred)).reshape(-1, *shape)
        # rare classes get small scores: each in units of its own spread
        scores[one.held] /= np.maximum(known.std(axis=0), 1e-9)
    return scores


def _macro_auroc(scores: Floats, labels: Places) -> Floats:
    """The AUROC of each class against the others, averaged: (p,) of scores (n, p, k) and labels (p, n)."""
    n, n_sets, n_classes = scores.shape
    ranks = rankdata(scores.reshape(n, -1), axis=0).reshape(n, n_sets, n_classes)
    is_class = _one_hot(labels, n_classes)
    n_in = is_class.sum(axis=0)
    above = (ranks * is_class).sum(axis=0) - n_in * (n_in + 1) / 2
    pairs = n_in * (n - n_in)
    # a class that only some images of one patient have can be missing from a permutation: 0.5 tells nothing
    area = np.where(pairs > 0, above / np.maximum(pairs, 1), 0.5)
    result: Floats = area.mean(axis=1)
    return result
