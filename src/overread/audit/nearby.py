"""Candidates for pairs that show the same: hashes that agree in two bands of their bits, in any of eight positions.

The hash is that of Zauner 2010, the bands are those of locality-sensitive hashing (Indyk & Motwani 1998): cost grows
nearly in proportion to the number of images, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from overread.data.alike import Fingerprints, hash_waves

Places = NDArray[np.int64]

MOST_BITS = 48
"""Candidates differ in no more of their 256 bits; two images of different things differ in 64 or more."""
POSITIONS = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180 degrees",
    "turned and mirrored",
    "turned by 90 degrees",
    "turned by 270 degrees",
    "turned by 90 degrees and mirrored",
)
_BANDS, _SETS = 24, 7
_NEXT = 48
"""In a bucket of many equal keys each is compared with so many that follow it: cost stays in proportion."""
_AT_ONCE = 1 << 15


def put(image: NDArray[np.uint8], position: int) -> NDArray[np.uint8]:
    """An image, or several, (..., rows, columns), in one of POSITIONS."""
    turned = image.swapaxes(-1, -2) if position & 4 else image
    return turned[..., :: -1 if position & 2 else 1, :: -1 if position & 1 else 1]


def candidates(small: NDArray[np.uint8]) -> Iterator[tuple[Places, Places, int]]:
    """Pairs of small images (v, 32, 32) that may show the same: places, places, and the position of the second.

    All pairs within 16 bits, and most within MOST_BITS: a share that shrinks as they differ. Images without
    structure are left out. A pair comes once in each position. Memory is about 400 bytes an image, besides the pairs.
    """
    plain = _hashes(small, 0)
    usable = np.flatnonzero(plain.any(axis=1))
    base = [_band(plain[usable], band) for band in range(_BANDS)]
    for position in range(len(POSITIONS)):
        turned = _hashes(small, position) if position else plain
        bands = [_band(turned[usable], band) for band in range(_BANDS)] if position else base
        seen: Places = np.empty(0, np.int64)
        for a, b in _band_pairs():
            for one, other in _equal(base[a] << 11 | base[b], bands[a] << 11 | bands[b], same=position == 0):
                apart = np.bitwise_count(plain[usable[one]] ^ turned[usable[other]]).sum(axis=1)
                near = apart <= MOST_BITS
                codes = np.setdiff1d(one[near] * len(usable) + other[near], seen)
                if len(codes):
                    seen = np.union1d(seen, codes)
                    yield usable[codes // len(usable)], usable[codes % len(usable)], position


def _band_pairs() -> list[tuple[int, int]]:
    """Pairs of bands such that any 8 of 24 bands hold one: all pairs within each of 7 sets."""
    return [pair for at in range(_SETS) for pair in combinations(range(at, _BANDS, _SETS), 2)]


def _hashes(small: NDArray[np.uint8], position: int) -> Fingerprints:
    """The hash of every image in a position: (v, 4)."""
    found = [np.empty((0, 4), np.uint64)]
    for at in range(0, len(small), _AT_ONCE):
        found.append(hash_waves(put(small[at : at + _AT_ONCE], position)))
    return np.concatenate(found)


def _band(hashes: Fingerprints, band: int) -> NDArray[np.int32]:
    """Every 24th bit from `band` on, as one number of 10 or 11 bits: (v,). So each has coarse and fine structure."""
    bits = np.arange(band, 256, _BANDS)
    octets = hashes.view(np.uint8).reshape(len(hashes), 32)[:, bits // 8]
    return ((octets >> (7 - bits % 8) & 1) @ (1 << np.arange(len(bits)))).astype(np.int32)


def _equal(keys: NDArray[np.int32], others: NDArray[np.int32], *, same: bool) -> Iterator[tuple[Places, Places]]:
    """Pairs of places with equal keys, about _AT_ONCE at a time; of many equal ones the next _NEXT."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    asked = np.argsort(others, kind="stable")
    start = np.arange(len(keys)) + 1 if same else np.searchsorted(ordered, others[asked], side="left")
    end = np.searchsorted(ordered, others[asked], side="right")
    if not same:
        # a crowded bucket: each goes on from its own rank in the queue, so that all of it is reached in turn
        rank = np.arange(len(others)) - np.searchsorted(others[asked], others[asked], side="left")
        crowded = end - start > _NEXT
        start = np.where(crowded, np.minimum(start + rank, end), start)
    count = np.clip(end - start, 0, _NEXT)
    reach = np.cumsum(count)
    at = 0
    while at < len(count):
        stop = max(at + 1, int(np.searchsorted(reach, (reach[at - 1] if at else 0) + _AT_ONCE, side="right")))
        many = count[at:stop]
        if many.any():
            offset = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            yield order[np.repeat(start[at:stop], many) + offset], asked[np.repeat(np.arange(at, stop), many)]
        at = stop
