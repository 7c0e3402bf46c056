"""How far an image lies from those that the network learnt from, and whether that is farther than chance.

numpy alone, since a prediction in a hospital repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from overread.stats.patients import Floats, equal_weights

_LEAST_SHRUNK = 1e-6
"""A covariance that is not shrunk at all may have directions without spread, to which any distance is infinite."""
_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Mahalanobis:
    """Class means, and the one covariance about them, kept as its directions of spread beside an even rest."""

    means: Floats
    """(k, d); nan for a class without images."""
    directions: Floats
    """(r, d) orthonormal rows; r is at most the number of images."""
    variances: Floats
    """(r,) along them."""
    rest: float
    """Variance in every other direction."""
    shrinkage: float
    """0 to 1: how far the covariance was drawn towards an even one."""

    def distance(self, features: ArrayLike) -> Floats:
        """Squared distance (n,) of features (n, d) from the nearest class."""
        x = np.asarray(features, np.float64)
        known = self.means[~np.isnan(self.means[:, 0])]
        by_class = [self._squared(x - mean) for mean in known]
        return np.asarray(np.min(by_class, axis=0))

    def _squared(self, off: Floats) -> Floats:
        along = off @ self.directions.T
        beside = np.zeros(len(off))
        if len(self.directions) < off.shape[1]:
            beside = np.maximum(0, (off**2).sum(axis=1) - (along**2).sum(axis=1)) / self.rest
        return np.asarray((along**2 / self.variances).sum(axis=1) + beside)


def fit_mahalanobis(features: ArrayLike, truth: ArrayLike, n_classes: int) -> Mahalanobis:
    """Gaussians of the classes with a common covariance (Lee et al. 2018), shrunk after Ledoit & Wolf (2004).

    features: (n, d) float of the training images, d may exceed n. truth: (n,) int. The distance asks for no
    independence of the images; what it means is left to `outlier_p` on other patients. Raises ValueError where
    the images do not differ from their class means.
    """
    x, t = np.asarray(features, np.float64), np.asarray(truth, np.int64)
    means = np.stack(
        [x[t == c].mean(axis=0) if (t == c).any() else np.full(x.shape[1], np.nan) for c in range(n_classes)]
    )
    off = x - means[t]
    n, d = off.shape
    mean_variance = float((off**2).sum()) / max(1, n * d)
    if mean_variance == 0:
        raise ValueError(f"the features of {n} images do not differ from their class means: no distance can be had")
    shrinkage = max(_LEAST_SHRUNK, ledoit_wolf(off))
    _, spread, directions = np.linalg.svd(off, full_matrices=False)
    kept = spread > 1e-10 * spread[0]
    rest = shrinkage * mean_variance
    return Mahalanobis(
        means=means,
        directions=directions[kept],
        variances=(1 - shrinkage) * spread[kept] ** 2 / n + rest,
        rest=rest,
        shrinkage=shrinkage,
    )


def ledoit_wolf(centred: ArrayLike) -> float:
    """How far to draw a covariance towards an even one, 0 to 1: Ledoit & Wolf (2004).

    centred: (n, d) float with column means 0. Assumes independent rows with a fourth moment.
    """
    x = np.asarray(centred, np.float64)
    n, d = x.shape
    # sums over (d, d) come from the smaller of the two Gram matrices
    gram = x @ x.T if n < d else x.T @ x
    squares = float((gram**2).sum()) / n**2
    even = float((x**2).sum() / n) ** 2 / d
    fourth = float(((x**2).sum(axis=1) ** 2).sum()) / n
    noise, signal = (fourth - squares) / n, squares - even
    return 1.0 if signal <= 0 else min(1.0, max(0.0, noise / signal))


def neighbour_distance(features: ArrayLike, reference: ArrayLike, *, k: int = 10) -> Floats:
    """Distance (n,) to the k-th nearest reference image, on features of length 1: Sun et al. (2022).

    features: (n, d) float. reference: (m, d) float of the training images, of other patients, m >= k (else
    ValueError). No shape of the classes is assumed.
    """
    a, b = (_unit(np.asarray(x, np.float64)) for x in (features, reference))
    if len(b) < k:
        raise ValueError(f"{len(b)} reference images; the {k}-th nearest needs {k}")
    size = max(1, _CHUNK_CELLS // len(b))
    nearest = [
        np.partition(2 - 2 * (a[start : start + size] @ b.T), k - 1, axis=1)[:, k - 1]
        for start in range(0, len(a), size)
    ]
    return np.asarray(np.sqrt(np.maximum(0, np.concatenate(nearest))))


def outlier_p(calibration: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None = None) -> Floats:
    """Conformal p-value (m,): how often an image of a new patient like these would lie as far out.

    calibration: (n,) float, distances of images that the network has not learnt from. scores: (m,) float.
    patients: (n,) of the calibration images; each weighs the same, and the new one counts as farther than all (Bates
    et al. 2023; by patient after Lee, Barber & Willett 2023). At or below alpha for at most a share alpha of such
    images; never below 1 / (patients + 1), so that with 19 patients or fewer none can be below 0.05. The threshold
    itself is `conformal.conformal_quantile`.
    """
    known, s = np.asarray(calibration, np.float64), np.asarray(scores, np.float64)
    order = np.argsort(known, kind="stable")
    weights = equal_weights(patients, known.size)[order]
    below = np.r_[0.0, np.cumsum(weights)][np.searchsorted(known[order], s, "left")]
    total = float(weights.sum())
    return np.asarray((1 + total - below) / (1 + total))


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
