"""Pairs of images that show the same: copies, also resized, windowed, mirrored, turned, framed or written on.

Three steps, each of which only sees what the one before has left. Hashes name candidates; small images are laid over
each other; and what still matches is laid over each other at a size at which the brains of two people differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.audit.nearby import Places, candidates, put
from overread.audit.views import SIDE, Views, without_border

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

LEAST_MATCH, _LEAST_INNER = 0.88, 0.90
"""Correlation of fine structure from which two images show the same; more where they match without border alone,
as heads that are cut out are all of one size and in one place.

Measured: of copies that were scaled, compressed, windowed otherwise, framed or written on 9 of 10 reach it, and so do
neighbouring slices of one patient. Two phantom heads in one pose reach 0.87, figures of two patients 0.7.
"""
_LEAST_SMALL, _SMALL_BLUR_PX = 0.90, 2.0
_FINE_SIDE, _FINE_BLUR_PX = 96, 3.0
_RIM_PX = 4
"""not compared: a frame that was cut off leaves traces there"""
_AT_ONCE, _KEPT = 1 << 12, 1024


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Pairs of images that show the same, each once, in the position in which they match best.

    first, second: (p,) places, first < second. position: (p,) place in POSITIONS, of the second to the first.
    match: (p,) float32, correlation of fine structure, LEAST_MATCH to 1. is_exact: (p,) bool, every pixel equal.
    """

    first: Places
    second: Places
    position: Places
    match: Floats
    is_exact: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, chosen: NDArray[np.bool_]) -> Twins:
        """Some of the pairs."""
        return Twins(
            first=self.first[chosen],
            second=self.second[chosen],
            position=self.position[chosen],
            match=self.match[chosen],
            is_exact=self.is_exact[chosen],
        )


def find_twins(views: Views, image: Callable[[int], Pixels]) -> Twins:
    """All pairs of n images that show the same. `image(i)` gives one, (size, size, 3) uint8.

    Images without structure have no twins. Each image is read again for the last step, if at all, about once.
    """
    pairs = _similar(views)
    exact = views.digests[pairs.first] == views.digests[pairs.second]
    match = np.ones(len(exact), np.float32)
    fine = lru_cache(_KEPT)(lambda place, inner, position: _fine(image(place), inner, position))
    for at in np.flatnonzero(~exact).tolist():
        one = fine(int(pairs.first[at]), bool(pairs.inner[at, 0]), 0)
        match[at] = one @ fine(int(pairs.second[at]), bool(pairs.inner[at, 1]), int(pairs.position[at]))
    found = Twins(first=pairs.first, second=pairs.second, position=pairs.position, match=match, is_exact=exact)
    return found.take(match >= np.where(pairs.inner.any(axis=1), _LEAST_INNER, LEAST_MATCH))


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Pairs whose small images match: places (p,), position (p,), and whether without border (p, 2)."""

    first: Places
    second: Places
    position: Places
    inner: NDArray[np.bool_]


def _similar(views: Views) -> _Pairs:
    """Pairs of images of which any two views match; each once, in the views and the position that match best."""
    n = len(views.whole)
    cut = np.flatnonzero((views.whole != views.inner).any(axis=(1, 2)))
    owner = np.concatenate([np.arange(n), cut])
    small = np.concatenate([views.whole, views.inner[cut]])
    found = [np.empty((0, 6))]
    for one, other, position in candidates(small):
        foreign = owner[one] != owner[other]
        one, other = one[foreign], other[foreign]
        match = _match(small, one, other, position)
        near = match >= _LEAST_SMALL
        one, other, match = one[near], other[near], match[near]
        # the position is that of the second image to the first: turned back where the order is the other way
        turned = np.where(owner[one] < owner[other], position, _BACK[position])
        swap = (owner[one] > owner[other])[:, None]
        who = np.where(swap, np.column_stack([other, one]), np.column_stack([one, other]))
        found.append(np.column_stack([owner[who], turned, who >= n, -match.round(4)]))
    table = np.concatenate(found)
    table = table[np.lexsort((table[:, 3], table[:, 2], table[:, 5], table[:, 1], table[:, 0]))]
    is_new = np.ones(len(table), bool)
    is_new[1:] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    table = table[is_new]
    first, second, position = table[:, :3].astype(np.int64).T
    return _Pairs(first=first, second=second, position=position, inner=table[:, 3:5].astype(bool))


_BACK = (0, 1, 2, 3, 4, 6, 5, 7)
"""the position that undoes each position"""


def _match(small: Pixels, one: Places, other: Places, position: int) -> Floats:
    """Correlation of the structure of pairs of small images, the second in its position: (p,)."""
    match = np.empty(len(one), np.float32)
    for at in range(0, len(one), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        left = _structure(small[one[part]], _SMALL_BLUR)
        match[part] = (left * _structure(put(small[other[part]], position), _SMALL_BLUR)).sum(axis=1)
    return match


def _fine(image: Pixels, inner: bool, position: int) -> Floats:
    """The fine structure of one image, whole or without its border: a vector of length 1."""
    grey = np.asarray(Pillow.fromarray(image).convert("L"))
    shown = Pillow.fromarray(without_border(grey) if inner else grey)
    # bilinear: a box, where it enlarges, is not the same from the other side
    small = np.asarray(shown.resize((_FINE_SIDE, _FINE_SIDE), Pillow.Resampling.BILINEAR))
    result: Floats = _structure(put(small, position)[None, _RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX], _FINE_BLUR)[0]
    return result


def _structure(grey: Pixels, blur: Floats) -> Floats:
    """What is left of images (n, side, side) without their coarse brightness, of length 1: (n, side * side)."""
    values = grey.astype(np.float32)
    fine: Floats = np.subtract(values, blur @ values @ blur.T).reshape(len(values), -1)
    fine -= fine.mean(axis=1, keepdims=True)
    fine /= np.maximum(np.linalg.norm(fine, axis=1, keepdims=True), 1e-6)
    return fine


def _gaussian(side: int, sigma: float) -> Floats:
    """A matrix that smooths `side` values by a Gaussian, and leaves even brightness as it is."""
    apart = np.arange(side)[:, None] - np.arange(side)
    weight = np.exp(-0.5 * (apart / sigma) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


_SMALL_BLUR, _FINE_BLUR = _gaussian(SIDE, _SMALL_BLUR_PX), _gaussian(_FINE_SIDE - 2 * _RIM_PX, _FINE_BLUR_PX)
