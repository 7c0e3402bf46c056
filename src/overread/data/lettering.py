"""Letters that are burnt into an image near its edge, as workstations, scanners and markers of lead leave them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Box = tuple[int, int, int, int]
"""top, bottom, left, right; bottom and right are beyond the last row and column"""
Place = Callable[[Box], Box]
"""where a box in a strip lies in the frame"""
Mark = tuple[int, float, Box]
"""shape, crispness, box"""

_MOST_PX = 1024
"""rows or columns that are looked at; larger frames are looked at in every second, third ... pixel"""
_DEPTH = 0.2
"""of the frame on each side: where letters are looked for"""
_LEAST_PX, _LARGEST = 6, 0.12
"""height of a letter: pixels, and share of the frame's longer side"""
_SLIM, _WIDE = 0.3, 1.5
"""width of a letter by its height"""
_THIN_FILL, _FULL_FILL = 0.12, 0.75
"""share of its box that a letter fills"""
_BAR = 0.6
"""of its box's width that a row of a letter takes, unless some row crosses several lines"""
_STROKE = 0.6
"""of its box's width that a letter's lines take at most, on the average; a blob takes more"""
_EVEN, _FULL = 0.2, 0.75
"""of a mark's distance from the ground: what is ground, and what stands out fully"""
_CLEAR = 0.85
"""share of what surrounds a letter that is ground"""
_CRISP, _CRISP_IN_TEXT, _TEXT = 0.7, 0.5, 3
"""share of a letter that stands out fully: of one by itself, and of several, from so many on"""
_MOST_BOXES = 60
"""in one strip; more is noise or anatomy"""


@dataclass(frozen=True, kw_only=True)
class Letters:
    """What was found: how many letters, and the shape of the first as 24 bits, equal for the same letter."""

    n: int
    shape: int
    boxes: tuple[Box, ...] = ()
    """around each letter, in pixels of the frame"""


def find_letters(pixels: Plane, *, contrast: float) -> Letters:
    """Find marks that look like letters near the edge of (rows, columns[, 3]), on an even ground.

    A letter is small, upright, made of thin lines that are evenly bright on dark or dark on bright, sharp, and apart
    from all else. `contrast` is the span of the frame's values, and a letter has at least half of it. Bones and
    tables are wider, softer, or lie in tissue. Letters inside the body or lower than 6 pixels are not seen.
    """
    step = max(1, max(pixels.shape[:2]) // _MOST_PX)
    # of colours the green one: letters are white, yellow or green
    pixels = pixels[::step, ::step] if pixels.ndim == 2 else np.ascontiguousarray(pixels[::step, ::step, 1])
    side = max(pixels.shape[:2])
    kept: list[tuple[int, Box]] = []
    # in MONOCHROME1 the lowest value is white; and some write black on white
    for found in zip(*(_in_strip(strip, place, side, contrast) for strip, place in _strips(pixels)), strict=True):
        marks = [mark for of_strip in found for mark in of_strip]
        least = _CRISP_IN_TEXT if len(marks) >= _TEXT else _CRISP
        kept += [(shape, box) for shape, crisp, box in marks if crisp >= least]
    boxes = tuple((step * top, step * bottom, step * left, step * right) for _, (top, bottom, left, right) in kept)
    return Letters(n=len(kept), shape=kept[0][0] if kept else 0, boxes=boxes)


def _strips(pixels: Plane) -> Iterator[tuple[Plane, Place]]:
    """The four sides of a frame, each with the frame's edge on top, and where a box in it lies in the frame."""
    all_rows, all_columns = pixels.shape
    rows, columns = int(_DEPTH * all_rows), int(_DEPTH * all_columns)
    yield pixels[:rows], lambda b: b
    yield pixels[-rows:][::-1], lambda b: (all_rows - b[1], all_rows - b[0], b[2], b[3])
    yield pixels[rows:-rows, :columns].swapaxes(0, 1), lambda b: (rows + b[2], rows + b[3], b[0], b[1])
    yield (
        pixels[rows:-rows, -columns:].swapaxes(0, 1)[::-1],
        lambda b: (rows + b[2], rows + b[3], all_columns - b[1], all_columns - b[0]),
    )


def _in_strip(strip: Plane, place: Place, side: int, contrast: float) -> tuple[list[Mark], list[Mark]]:
    """The letters in one strip: those that are bright on dark, and those that are dark on bright."""
    if min(strip.shape) < _LEAST_PX:
        return [], []
    # numpy's quantile takes ten times as long as a sort of so few
    few = np.sort(strip[::8, ::8], axis=None)
    dark, bright = float(few[few.size // 5]), float(few[-1 - few.size // 5])
    up, down = float(strip.max()) - dark, bright - float(strip.min())
    least = 0.5 * contrast
    return (
        _letters(strip, strip > dark + 0.5 * up, place, side, dark) if 0 < up >= least else [],
        _letters(strip, strip < bright - 0.5 * down, place, side, bright) if 0 < down >= least else [],
    )


def _letters(strip: Plane, marks: NDArray[np.bool_], place: Place, side: int, ground: float) -> list[Mark]:
    """Of each mark that is a letter: its shape, how crisp it is, and its box in the frame."""
    found = []
    for box in _boxes(marks, int(_WIDE * _LARGEST * side)):
        if (crisp := _crispness(strip, marks, box, ground=ground, side=side)) >= _CRISP_IN_TEXT:
            top, bottom, left, right = box
            found.append((_shape(marks[top:bottom, left:right]), crisp, place(box)))
    return found


def _boxes(marks: NDArray[np.bool_], widest: int) -> Iterator[Box]:
    """Boxes around marks, parted by rows without any, then by such columns, then by such rows again."""
    found = 0
    for top, bottom in _runs(np.asarray(marks.any(axis=1))):
        if bottom - top < _LEAST_PX:
            continue
        for left, right in _runs(np.asarray(marks[top:bottom].any(axis=0))):
            found += 1
            if found > _MOST_BOXES:
                return
            if 2 <= right - left <= widest:
                for first, last in _runs(np.asarray(marks[top:bottom, left:right].any(axis=1))):
                    yield top + first, top + last, left, right


def _runs(there: NDArray[Any]) -> list[tuple[int, int]]:
    """Where runs of True begin and end."""
    edges = ((there[1:] != there[:-1]).nonzero()[0] + 1).tolist()
    edges = [0] * bool(there[0]) + edges + [len(there)] * bool(there[-1])
    return list(zip(edges[::2], edges[1::2], strict=True))


def _crispness(strip: Plane, marks: NDArray[np.bool_], box: Box, *, ground: float, side: int) -> float:
    """Share of a mark that stands out fully; 0 for one that is no letter."""
    top, bottom, left, right = box
    height, width = bottom - top, right - left
    upright = _SLIM * height <= width <= _WIDE * height
    if not (upright and _LEAST_PX <= height <= max(_LEAST_PX + 2, _LARGEST * side)):
        return 0.0
    margin = max(2, height // 6)
    if top < margin or left < margin or bottom + margin > len(marks) or right + margin > marks.shape[1]:
        return 0.0
    if not _has_lines(marks[top:bottom, left:right]):
        return 0.0
    around = (slice(top - margin, bottom + margin), slice(left - margin, right + margin))
    return _standing_out(np.abs(strip[around] - np.float32(ground)), marks[around])


def _has_lines(mark: NDArray[np.bool_]) -> bool:
    """True if a mark is made of thin lines, and is more than one slanted stroke such as a strap's edge."""
    starts = mark.copy()
    starts[:, 1:] &= ~mark[:, :-1]
    crossed = starts.sum(axis=1)
    thin = mark.sum() <= _STROKE * mark.shape[1] * crossed.sum()
    slanted = crossed.max() == 1 and mark.sum(axis=1).max() < _BAR * mark.shape[1]
    return bool(thin and not slanted and _THIN_FILL <= mark.mean() <= _FULL_FILL)


def _standing_out(values: Plane, marks: NDArray[np.bool_]) -> float:
    """Share of a mark that stands out fully; 0 where what surrounds it is not even."""
    peak = values[marks].max()
    clear = (values[~marks] < _EVEN * peak).mean()
    return float((values[marks] > _FULL * peak).mean()) if clear >= _CLEAR else 0.0


def _shape(mark: NDArray[np.bool_]) -> int:
    """A mark at 6 x 4 pixels, as 24 bits: as many as a float32 keeps."""
    # of two or three columns each is taken twice, so that none of the four is empty
    mark = mark.repeat(1 if mark.shape[1] >= 4 else 2, axis=1)
    rows, columns = (
        np.linspace(0, size, parts + 1).round().astype(int) for size, parts in zip(mark.shape, (6, 4), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(mark.astype(int), rows[:-1], axis=0), columns[:-1], axis=1)
    bits = sums * 2 >= np.diff(rows)[:, None] * np.diff(columns)
    return int(bits.ravel() @ (1 << np.arange(24)))
