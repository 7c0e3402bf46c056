"""Every image of an audit looked at once: in grey and small, whole and without its border, and as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

SIDE = 32
"""side of a small image in pixels"""
LEVELS = 32
_PLAIN_LEVELS = 12
"""rows and columns at the edge whose grey levels differ by no more than this are border"""
_LEAST_SHARE = 0.2
"""an image that would keep less than this share of its side is not cut"""


@dataclass(frozen=True, kw_only=True)
class Views:
    """What is kept of each image: about 2 kB, whatever its size.

    whole, inner: (n, SIDE, SIDE) uint8, grey; `inner` is cut to what lies within an even border, and equals
    `whole` where there is none. histograms: (n, LEVELS) float32, the share of pixels at each of so many grey levels.
    digests: (n,) in hex, equal where all prepared pixels are.
    """

    whole: NDArray[np.uint8]
    inner: NDArray[np.uint8]
    histograms: NDArray[np.float32]
    digests: NDArray[np.bytes_]


def take_views(images: Iterable[NDArray[np.uint8]], n: int) -> Views:
    """Look at n images, (size, size, 3) uint8 each, one after another."""
    whole, inner = (np.empty((n, SIDE, SIDE), np.uint8) for _ in range(2))
    histograms = np.empty((n, LEVELS), np.float32)
    digests = np.empty(n, "S32")
    for place, image in enumerate(images):
        grey = np.asarray(Pillow.fromarray(image).convert("L"))
        whole[place] = _shrink(grey)
        inside = without_border(grey)
        inner[place] = whole[place] if inside.shape == grey.shape else _shrink(inside)
        histograms[place] = np.bincount((grey >> 3).ravel(), minlength=LEVELS) / grey.size
        digests[place] = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest().encode()
    return Views(whole=whole, inner=inner, histograms=histograms, digests=digests)


def _shrink(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Pillow.fromarray(grey).resize((SIDE, SIDE), Pillow.Resampling.BOX))


def without_border(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of an image within its even border, (rows, columns); the image itself where little would be left."""
    spans = []
    for axis in (1, 0):
        busy = np.flatnonzero(grey.max(axis=axis) - grey.min(axis=axis) > _PLAIN_LEVELS)
        if busy.size == 0 or busy[-1] - busy[0] < _LEAST_SHARE * grey.shape[1 - axis]:
            return grey
        spans.append(slice(int(busy[0]), int(busy[-1]) + 1))
    return np.ascontiguousarray(grey[spans[0], spans[1]])
