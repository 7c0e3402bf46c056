"""Where an image lies in the square that a network sees, and the way back to the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WIDTH = 0.7
"""of a place's width: the standard deviation of how far it reaches"""


@dataclass(frozen=True, kw_only=True)
class Placing:
    """An image of rows x columns pixels, in a square of `side_px`: it fills the box from top and left on."""

    rows: int
    columns: int
    side_px: int
    top: int
    left: int
    height: int
    width: int


def place(rows: int, columns: int, *, side_px: int, fit: str) -> Placing:
    """Where an image of rows x columns pixels lies in the square: stretched over it, or kept in shape on black."""
    top = left = 0
    height = width = side_px
    if fit != "squash" and rows != columns:
        scale = side_px / max(rows, columns)
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
        top, left = (side_px - height) // 2, (side_px - width) // 2
    return Placing(rows=rows, columns=columns, side_px=side_px, top=top, left=left, height=height, width=width)


def onto_image(values: NDArray[Any], placing: Placing) -> NDArray[np.float32]:
    """Bring a map that covers the square back to the image: (h, w) to (rows, columns) float32.

    A place of the map stands for the middle of its share of the square. What lies on the border that was added goes.
    """
    per_px = 1 / placing.side_px
    rows = _between(placing.top * per_px, (placing.top + placing.height) * per_px, placing.rows)
    columns = _between(placing.left * per_px, (placing.left + placing.width) * per_px, placing.columns)
    return spread(values, rows, columns)


def spread(values: NDArray[Any], rows: Floats, columns: Floats) -> NDArray[np.float32]:
    """The values of a coarse map (h, w) at finer places, each from 0 to 1 down and across: (rows, columns) float32.

    Each is a mean of the places around it, with the weights of a normal distribution. Straight lines between places
    would put every peak into the middle of one of them; this lets it lie between two.
    """
    down, across = (_weights(at, n) for at, n in zip((rows, columns), values.shape, strict=True))
    return np.asarray(down @ values.astype(np.float64) @ across.T, np.float32)


def _between(low: float, high: float, n: int) -> Floats:
    """The middles of n equal parts."""
    return low + (high - low) * (np.arange(n) + 0.5) / n


def _weights(at: Floats, n: int) -> Floats:
    """What each of n places counts at each point: (points, n), in sum 1."""
    far = (at[:, None] * n - (np.arange(n) + 0.5)) / _WIDTH
    weights = np.exp(-0.5 * far**2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
