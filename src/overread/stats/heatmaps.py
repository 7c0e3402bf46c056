"""How alike two maps are, whether a map is where it should be, and the maps that know nothing of the network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Map = NDArray[Any]
"""(h, w)"""


def rank_similarity(one: Map, other: Map) -> float:
    """Spearman's correlation of two maps (h, w): 1 for the same order of places, 0 for none; nan for an even map."""
    a, b = (rankdata(np.ravel(x)) for x in (one, other))
    a, b = a - a.mean(), b - b.mean()
    below = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / below if below > 0 else math.nan


def structural_similarity(one: Map, other: Map) -> float:
    """SSIM (Wang et al. 2004) of two maps, each scaled to 0..1; nan for an even map.

    The mean over windows of 7 x 7, or of the largest odd side that fits.
    """
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    a, b = ((np.asarray(x, np.float64) - np.min(x)) / np.ptp(x) for x in (one, other))
    side = min(7, (min(a.shape) - 1) // 2 * 2 + 1)
    n = side * side
    mean_a, mean_b, aa, bb, ab = (_windows(x, side) for x in (a, b, a * a, b * b, a * b))
    unbiased = n / (n - 1) if n > 1 else 1.0
    var_a, var_b, cov = ((x - y) * unbiased for x, y in ((aa, mean_a**2), (bb, mean_b**2), (ab, mean_a * mean_b)))
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float((above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _windows(x: Floats, side: int) -> Floats:
    """The mean of each window that lies within the map."""
    half = side // 2
    rows, columns = (slice(half, size - half) for size in x.shape)
    return np.asarray(ndimage.uniform_filter(x, side)[rows, columns])


def points_at(heat: Map, mask: Map, *, margin_px: float = 0) -> bool:
    """The pointing game (Zhang et al. 2018): whether the strongest place of a map lies in a mask of the same shape.

    margin_px: how far from the mask still counts; the paper allows 15 of an image of about 224.
    """
    peak = np.unravel_index(int(np.argmax(heat)), heat.shape)
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return False
    nearest = float(((rows - int(peak[0])) ** 2 + (columns - int(peak[1])) ** 2).min())
    return nearest <= margin_px**2


def energy_inside(heat: Map, mask: Map) -> float:
    """Share of what is positive of a map that lies in a mask (Wang et al. 2020); nan where nothing is positive."""
    positive = np.clip(heat, 0, None)
    total = float(positive.sum())
    return float(positive[np.asarray(mask, bool)].sum()) / total if total > 0 else math.nan


def random_map(rng: np.random.Generator, side: int) -> Floats:
    """A map (side, side) that knows nothing."""
    return rng.random((side, side))


def edge_map(square: NDArray[np.uint8]) -> Floats:
    """Sobel's edges of a picture (side, side, 3), somewhat smoothed: a map that knows the image and no network."""
    grey = square.astype(np.float64).mean(axis=2)
    edges = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    return np.asarray(ndimage.gaussian_filter(edges, len(grey) / 64))


def centre_map(side: int) -> Floats:
    """A map that always points to the middle, and falls off as a normal distribution of a quarter of the side."""
    away = (np.arange(side) + 0.5) / side - 0.5
    one = np.exp(-0.5 * (away / 0.25) ** 2)
    return np.outer(one, one)


def strongest(heat: Map, share: float) -> NDArray[np.bool_]:
    """The share of the places that is strongest: exactly so many, ties in the order of the places."""
    n = round(share * heat.size)
    where = np.zeros(heat.size, bool)
    where[np.argsort(-np.ravel(heat), kind="stable")[:n]] = True
    return where.reshape(heat.shape)
