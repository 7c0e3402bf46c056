"""How well predictions agree with the truth: numbers from arrays.

Two kinds. Those that count right and wrong take a confusion table, (..., k, k) with a row a true class
and a column a predicted one, and return (...) or, for a figure by class, (..., k). Those that use
probabilities take the arrays themselves and optional `weights`, (..., n): how often each image counts.
Leading axes are resamples, so that a bootstrap of thousands is one call; without them the result is one
number. A figure without a meaning (the sensitivity of a class with no image) is nan, never a guess.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Figure = Any
"""A float; with leading axes in the arguments, an array of them. A type checker cannot tell which."""


def softmax(logits: ArrayLike) -> Floats:
    """Probabilities (n, k) of logits (n, k): positive, and each row sums to 1."""
    x = np.asarray(logits, np.float64)
    shifted = np.exp(x - x.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def confusion(truth: ArrayLike, predicted: ArrayLike, n_classes: int, *, weights: ArrayLike | None = None) -> Floats:
    """Count the images by true class (row) and predicted class (column).

    truth, predicted: (n,) int from 0 to n_classes - 1, else ValueError. weights: (..., n).
    Returns (..., n_classes, n_classes) float64, whole numbers where the weights are.
    """
    t, p = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    for name, values in (("truth", t), ("predicted", p)):
        if values.size and not 0 <= values.min() <= values.max() < n_classes:
            raise ValueError(f"{name} holds {values.min()} to {values.max()}; classes go from 0 to {n_classes - 1}")
    cell = t * n_classes + p
    w = _weights(weights, cell.size)
    flat = w.reshape(-1, cell.size)
    # One bincount over (resample, cell) instead of a matrix product with one-hot rows.
    n_cells = n_classes * n_classes
    keys = (np.arange(len(flat))[:, None] * n_cells + cell).ravel()
    table = np.bincount(keys, weights=flat.ravel(), minlength=len(flat) * n_cells).astype(np.float64)
    return table.reshape(*w.shape[:-1], n_classes, n_classes)


def accuracy(table: ArrayLike) -> Figure:
    """Share of the images whose predicted class is the true one; nan without images."""
    t = np.asarray(table, np.float64)
    return _ratio(np.trace(t, axis1=-2, axis2=-1), t.sum((-2, -1)))


def sensitivity(table: ArrayLike) -> Floats:
    """Share of each class's images that are predicted as it (recall); nan for a class without images."""
    t = np.asarray(table, np.float64)
    return _ratio(_diagonal(t), t.sum(-1))


def specificity(table: ArrayLike) -> Floats:
    """Share of the other classes' images that are not predicted as this class; nan without other images."""
    t = np.asarray(table, np.float64)
    total, true, predicted = t.sum((-2, -1))[..., None], t.sum(-1), t.sum(-2)
    return _ratio(total - true - predicted + _diagonal(t), total - true)


def precision(table: ArrayLike) -> Floats:
    """Share of the images predicted as each class that are of it (PPV); nan for a class never predicted."""
    t = np.asarray(table, np.float64)
    return _ratio(_diagonal(t), t.sum(-2))


def f1(table: ArrayLike) -> Floats:
    """Harmonic mean of precision and sensitivity by class; nan for a class neither true nor predicted."""
    t = np.asarray(table, np.float64)
    return _ratio(2 * _diagonal(t), t.sum(-1) + t.sum(-2))


def macro(by_class: ArrayLike) -> Figure:
    """Plain mean over the classes that have a figure, (..., k) to (...); nan where none has."""
    values = np.asarray(by_class, np.float64)
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def balanced_accuracy(table: ArrayLike) -> Figure:
    """Mean sensitivity over the classes that have images; nan without images."""
    return macro(sensitivity(table))


def mcc(table: ArrayLike) -> Figure:
    """Matthews' correlation for k classes, -1 to 1: R_k of Gorodkin (2004).

    nan where all images are of one class or all are predicted as one: a correlation needs both to vary.
    """
    t = np.asarray(table, np.float64)
    total, right = t.sum((-2, -1)), np.trace(t, axis1=-2, axis2=-1)
    true, predicted = t.sum(-1), t.sum(-2)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return _ratio(right * total - (true * predicted).sum(-1), np.sqrt(spread))


def kappa(table: ArrayLike) -> Figure:
    """Agreement beyond chance, 1 at most: Cohen (1960). nan where chance alone would agree always."""
    t = np.asarray(table, np.float64)
    total = t.sum((-2, -1))
    seen = _ratio(np.trace(t, axis1=-2, axis2=-1), total)
    chance = _ratio((t.sum(-1) * t.sum(-2)).sum(-1), total**2)
    return _ratio(seen - chance, 1 - chance)


def auroc(positive: ArrayLike, scores: ArrayLike, *, weights: ArrayLike | None = None) -> Figure:
    """Chance that an image of the class scores above an image that is not of it; a tie counts half.

    positive: (n,) bool. scores: (n,) float, higher is more like the class. weights: (..., n).
    Returns (...), nan where images of either side are missing. The Mann-Whitney form of the area under
    the ROC curve (Hanley & McNeil 1982).
    """
    positive_weight, negative_weight = _by_score(positive, scores, weights)
    below = np.cumsum(negative_weight, axis=-1) - negative_weight
    wins = (positive_weight * (below + 0.5 * negative_weight)).sum(-1)
    return _ratio(wins, positive_weight.sum(-1) * negative_weight.sum(-1))


def roc_curve(positive: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """1 - specificity and sensitivity at every threshold: two (m,) arrays, both from 0 to 1.

    Arguments as for `auroc`, which is the area under the straight lines between these points. nan where
    images of either side are missing.
    """
    positive_weight, negative_weight = _by_score(positive, scores, None)
    hits = np.r_[0.0, np.cumsum(positive_weight[::-1])]
    alarms = np.r_[0.0, np.cumsum(negative_weight[::-1])]
    return _ratio(alarms, alarms[-1]), _ratio(hits, hits[-1])


def auroc_by_class(truth: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None) -> Floats:
    """AUROC of each class against the rest.

    truth: (n,) int. probabilities: (n, k) float. weights: (..., n). Returns (..., k), nan for a class
    without images or with all of them; `macro` takes the mean over the others.
    """
    t, p = np.asarray(truth), np.asarray(probabilities)
    return np.stack([auroc(t == c, p[:, c], weights=weights) for c in range(p.shape[1])], axis=-1)


def auroc_macro(truth: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None) -> Figure:
    """Plain mean of `auroc_by_class`; for two classes with probabilities that sum to 1, their one AUROC."""
    return macro(auroc_by_class(truth, probabilities, weights=weights))


def average_precision(positive: ArrayLike, scores: ArrayLike, *, weights: ArrayLike | None = None) -> Figure:
    """Area under the precision-recall curve as a sum of steps, without interpolation.

    Arguments as for `auroc`. Returns (...), nan without an image of the class.
    """
    positive_weight, negative_weight = _by_score(positive, scores, weights)
    hits = np.cumsum(positive_weight[..., ::-1], axis=-1)
    called = hits + np.cumsum(negative_weight[..., ::-1], axis=-1)
    precise = np.where(called > 0, hits / np.where(called > 0, called, 1.0), 0.0)
    return _ratio((positive_weight[..., ::-1] * precise).sum(-1), positive_weight.sum(-1))


def brier(truth: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None) -> Figure:
    """Mean squared distance of the probabilities from the truth, 0 to 2, summed over classes (Brier 1950).

    truth: (n,) int. probabilities: (n, k) float. weights: (..., n). Returns (...); nan without images.
    For two classes it is twice the single-class form.
    """
    t, p = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    return _mean(((p - np.eye(p.shape[1])[t]) ** 2).sum(1), weights)


def log_loss(truth: ArrayLike, probabilities: ArrayLike, *, weights: ArrayLike | None = None) -> Figure:
    """Mean negative logarithm (nats) of the true class's probability; nan without images.

    Arguments as for `brier`. A probability of 0 counts as the smallest step of a float64, 2.2e-16.
    """
    return _mean(log_losses(truth, probabilities), weights)


def log_losses(truth: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Negative logarithm (nats) of the true class's probability, image by image: (n,). See `log_loss`."""
    t, p = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    result: Floats = -np.log(np.clip(p[np.arange(t.size), t], np.finfo(np.float64).eps, 1.0))
    return result


def _by_score(positive: ArrayLike, scores: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Weight of the positives and of the negatives at each distinct score, ascending: two (..., m)."""
    is_positive, s = np.asarray(positive, bool), np.asarray(scores)
    order = np.argsort(s, kind="stable")
    w = _weights(weights, s.size)[..., order]
    if s.size == 0 or np.isnan(s).any():  # a network that diverged has no order
        return w * np.nan, w * np.nan
    s, is_positive = s[order], is_positive[order]
    starts = np.flatnonzero(np.r_[True, s[1:] != s[:-1]])
    positives = np.add.reduceat(np.where(is_positive, w, 0.0), starts, axis=-1)
    negatives = np.add.reduceat(np.where(is_positive, 0.0, w), starts, axis=-1)
    return positives, negatives


def _weights(weights: ArrayLike | None, n: int) -> Floats:
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def _mean(values: Floats, weights: ArrayLike | None) -> Figure:
    w = _weights(weights, values.size)
    return _ratio(w @ values, w.sum(-1))


def _diagonal(table: Floats) -> Floats:
    return np.diagonal(table, axis1=-2, axis2=-1)


def _ratio(top: ArrayLike, bottom: ArrayLike) -> Floats:
    """Divide; nan, without a warning, where the divisor is 0 (or negative by rounding)."""
    a, b = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    a, b = np.broadcast_arrays(a, b)
    result: Floats = np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
    return result[()]  # an array without dimensions becomes a number
