"""Where in the picture the evidence lies: in the body, beside it, at the edge, on burnt-in letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.data.placing import spread

CLASS_MAP = "class-map"
"""the method whose maps come with the prediction"""
GRID = 56
"""rows and columns of the grid that places are told apart on"""
REGIONS = {
    "outside": "outside the body",
    "edge": "in the outer rim of the picture",
    "letters": "on burnt-in letters",
}
_EDGE = 0.1
"""of the picture's side: its outer rim"""
_BRIGHT = 0.15
"""of the way from the picture's darkest to its brightest percentile: what is not air"""
_BLUR = 0.75
"""of a place of the map: how far evidence may lie from what it is evidence of"""
_PEAKED = 1.05
"""times the mean: the highest place of a map that is flatter is no peak"""
_LEAST_BODY = 0.05
"""of the picture; less is no body"""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Parts of one picture, each (GRID, GRID) bool; one that could not be found is empty."""

    outside: Bools
    """what is not body"""
    edge: Bools
    """the outermost tenth on each side"""
    letters: Bools
    """burnt-in letters, and as much around them as the map cannot tell from them"""

    def items(self) -> Mapping[str, Bools]:
        """The regions by name, in the order of `REGIONS`."""
        return {"outside": self.outside, "edge": self.edge, "letters": self.letters}


def find_regions(square: NDArray[np.uint8], letters: Bools, *, cells: int) -> Regions:
    """Find the parts of a prepared picture (side, side, 3) uint8 that a map of cells x cells will be laid over.

    letters: (8, 8), where `measures` found some. Body is the largest bright thing, with all that lies between its
    sides: air within lungs is body. A picture whose body fills it has nothing outside.
    """
    edge = np.ones((GRID, GRID), bool)
    rim = round(_EDGE * GRID)
    edge[rim:-rim, rim:-rim] = False
    return Regions(outside=~_body(square), edge=edge, letters=_around(letters, round(_BLUR * GRID / cells)))


def shares(evidence: Floats, regions: Regions) -> dict[str, tuple[float, float, bool]]:
    """For each region the share of the evidence in it, the share of the picture that it is, and whether the peak is.

    evidence: (h, w); what is below 0 counts as nothing. Shares are nan where nothing is above 0.
    """
    fine = np.clip(enlarge(evidence, GRID), 0, None)
    total, peak = float(fine.sum()), np.unravel_index(int(fine.argmax()), fine.shape)
    is_peaked = bool(fine.max() > _PEAKED * fine.mean())
    found = {}
    for name, where in regions.items().items():
        share = float(fine[where].sum()) / total if total > 0 else float("nan")
        found[name] = share, float(where.mean()), bool(where[peak]) and is_peaked
    return found


def enlarge(evidence: NDArray[Any], side: int) -> Floats:
    """A map (h, w) on a finer grid (side, side)."""
    middles = (np.arange(side) + 0.5) / side
    return spread(evidence, middles, middles)


def evidence_for(class_maps: NDArray[Any], target: int, *, against: int | None = None) -> Floats:
    """What of the class maps (k, h, w) speaks for one class: its map less the mean of all, or less that of another.

    A network's answers do not change where the same map is added to all classes, so that only differences mean
    anything.
    """
    other = class_maps.mean(axis=0) if against is None else class_maps[against]
    return np.asarray(class_maps[target] - other, np.float32)


def _around(board: Bools, margin: int) -> Bools:
    """The cells of a board on the grid, with a margin around each."""
    step = GRID // len(board)
    where = np.zeros((GRID, GRID), bool)
    for row, column in zip(*np.nonzero(board), strict=True):
        top, left = row * step - margin, column * step - margin
        where[max(0, top) : top + step + 2 * margin, max(0, left) : left + step + 2 * margin] = True
    return where


def _body(square: NDArray[np.uint8]) -> Bools:
    grey = Pillow.fromarray(np.ascontiguousarray(square.max(axis=2))).resize((GRID, GRID), Pillow.Resampling.BOX)
    values = np.asarray(grey, np.float32)
    dark, light = np.percentile(values, (1, 99))
    body = _within(_largest(values > dark + _BRIGHT * (light - dark)))
    return body if body.mean() >= _LEAST_BODY else np.ones_like(body)


def _within(body: Bools) -> Bools:
    """What has body on its left and right, above and below."""
    sides = [body]
    for axis in (0, 1):
        before = np.logical_or.accumulate(body, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(body, axis), axis=axis), axis)
        sides.append(before & after)
    return body | (sides[1] & sides[2])


def _largest(there: Bools) -> Bools:
    """The largest connected part."""
    parts = np.zeros(there.shape, np.int64)
    sizes = [0]
    for start in zip(*np.nonzero(there), strict=True):
        if not parts[start]:
            sizes.append(_flood(there, parts, start, len(sizes)))
    return parts == int(np.argmax(sizes)) if len(sizes) > 1 else there


def _flood(there: Bools, parts: NDArray[np.int64], start: tuple[Any, ...], number: int) -> int:
    """Number all that hangs together with one place, and count it."""
    waiting, size = [start], 0
    parts[start] = number
    while waiting:
        row, column = waiting.pop()
        size += 1
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < there.shape[0] and 0 <= near[1] < there.shape[1]
            if inside and there[near] and not parts[near]:
                parts[near] = number
                waiting.append(near)
    return size


def stack_shares(found: Sequence[Mapping[str, tuple[float, float, bool]]]) -> dict[str, NDArray[np.float64]]:
    """The shares of n images by region: (n, 3) evidence, area, peak."""
    return {name: np.array([one[name] for one in found], np.float64).reshape(-1, 3) for name in REGIONS}
