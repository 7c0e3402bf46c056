"""What is kept of a frame's own values, which the prepared 8-bit square has lost: a dozen numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.data.lettering import Letters, find_letters
from overread.data.pixels import Image
from overread.data.placing import Placing, place

Measures = NDArray[np.float32]

NAMES = (
    "low",
    "floor",
    "median",
    "p99",
    "high",
    "lowest_share",
    "highest_share",
    "black",
    "white",
    "border",
    "colour",
    "letters",
    "letter_shape",
    "letters_above",
    "letters_amid",
    "letters_below",
)
"""low, high: the least and greatest value, in the unit of the pixels; floor: the first percentile of all that are
above the least, so air and not the padding around it; median, p99: percentiles. lowest_share, highest_share: of the
pixels, with just these two values. black, white: share of the prepared square with 0 or 255 in every channel.
border: share of the frame outside the rows and columns in which anything changes. colour: share of pixels that are
not grey. letters: marks near the edge that look like burnt-in letters; letter_shape: 24 bits that tell the first of
them from others; see `lettering`. letters_above, _amid, _below: where they lie in the square, 24, 24 and 16 bits of a
board of 8 x 8 cells; see `letter_board`."""
BOARD = 8
"""rows and columns of the cells that letters are found again in"""
_BOARD = NAMES[-3:]
_SIDE = 64
"""rows and columns that are looked at, evenly spread; letters are looked for in all"""
_JPEG_LEVELS = 12
"""differences of grey that compression leaves in an even area"""
_COLOUR_LEVELS = 24


def measure(image: Image, square: NDArray[np.uint8], *, fit: str) -> Measures:
    """Measure one frame, from its values and from the square that was prepared of it: (len(NAMES),) float32.

    fit: how it was made a square, as in ImageSettings.
    """
    step = max(1, max(image.pixels.shape[:2]) // _SIDE)
    few, colour = _grey(image.pixels[::step, ::step])
    values = np.sort(few, axis=None)
    n = values.size
    n_lowest = int(np.searchsorted(values, values[0], side="right"))
    above = values[n_lowest:] if n_lowest < n else values
    p99 = values[int(0.99 * (n - 1))]
    letters = find_letters(image.pixels, contrast=float(p99) - float(values[0]))
    black, white = _ends(square[:: max(1, len(square) // _SIDE), :: max(1, len(square) // _SIDE)])
    board = _board_bits(letters, place(*image.pixels.shape[:2], side_px=len(square), fit=fit))
    found = {
        "low": values[0],
        "floor": above[int(0.01 * (above.size - 1))],
        "median": values[n // 2],
        "p99": p99,
        "high": values[-1],
        "lowest_share": n_lowest / n,
        "highest_share": 1 - int(np.searchsorted(values, values[-1])) / n,
        "black": black,
        "white": white,
        "border": _border(few, _JPEG_LEVELS if image.scale == "display" else 0),
        "colour": colour,
        "letters": letters.n,
        "letter_shape": letters.shape,
        **dict(zip(_BOARD, board, strict=True)),
    }
    return np.array([found[name] for name in NAMES], np.float32)


def column(measures: Measures, name: str) -> Measures:
    """One of `NAMES` for every row of (n, len(NAMES)): (n,)."""
    return measures[:, NAMES.index(name)]


def letter_board(measures: Measures) -> NDArray[np.bool_]:
    """Where letters were found in the squares of (n, len(NAMES)) measures: (n, 8, 8) bool."""
    bits = np.stack([column(measures, name) for name in _BOARD], axis=-1).astype(np.int64)
    board = (bits[..., None] >> np.arange(24)) & 1
    return np.asarray(board.reshape(len(measures), -1)[:, : BOARD * BOARD].reshape(-1, BOARD, BOARD) == 1)


def _board_bits(letters: Letters, placing: Placing) -> list[int]:
    """The cells of the board that letters touch, as the bits of three numbers that a float32 keeps."""
    board = np.zeros((BOARD, BOARD), bool)
    per_px = BOARD / placing.side_px
    down, across = placing.height / placing.rows, placing.width / placing.columns
    for top, bottom, left, right in letters.boxes:
        rows = (placing.top + top * down) * per_px, (placing.top + bottom * down) * per_px
        columns = (placing.left + left * across) * per_px, (placing.left + right * across) * per_px
        board[int(rows[0]) : math.ceil(rows[1]), int(columns[0]) : math.ceil(columns[1])] = True
    flat = np.pad(board.ravel(), (0, 72 - BOARD * BOARD)).reshape(3, 24)
    return [int(bits @ (1 << np.arange(24))) for bits in flat]


def _grey(few: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """The mean of the channels, and the share of pixels whose channels differ."""
    if few.ndim == 2:
        return np.ascontiguousarray(few), 0.0
    # channel by channel: numpy is slow along an axis of three
    red, green, blue = (few[..., at].astype(np.int16) for at in range(3))
    differ = (np.abs(red - green) > _COLOUR_LEVELS) | (np.abs(green - blue) > _COLOUR_LEVELS)
    return (red + green + blue) // 3, float(differ.mean())


def _ends(few: NDArray[np.uint8]) -> tuple[float, float]:
    """Share of pixels that are 0, and that are 255, in all three channels."""
    red, green, blue = (few[..., at] for at in range(3))
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((highest == 0).mean()), float((lowest == 255).mean())


def _border(few: NDArray[Any], even: int) -> float:
    """Share of the frame outside the rows and columns that vary by more than `even`."""
    kept = 1.0
    for axis in (0, 1):
        busy = np.flatnonzero(few.max(axis=axis) - few.min(axis=axis) > even)
        kept *= (busy[-1] - busy[0] + 1) / few.shape[1 - axis] if busy.size else 0.0
    return 1.0 - kept
