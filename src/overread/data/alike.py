"""Images that are nearly the same, found by a fingerprint that survives compression, scaling and brightness."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.data.groups import Groups, join_pairs

Fingerprints = NDArray[np.uint64]

THRESHOLD_BITS = 16
"""Fingerprints that differ in so many of their 256 bits or fewer are of nearly the same image.

Measured: of CT slices and chest figures saved again as JPEG (quality 30 to 60), at a third to one and a half
times the size, or 15 to 20 % brighter or with more contrast, 99.7 of 100 stay within 16 bits and 95 within 10.
Neighbouring slices of one CT series differ by 24 (median), chest X-rays of two children by more than 24.
"""

_SIDE, _KEPT = 32, 16
_FLAT_LEVELS, _NOISE_LEVELS = 2.0, 1.0
_BANDS, _SETS = 24, 7
_PAIRS_AT_ONCE = 1 << 20


def _cosines() -> NDArray[np.float64]:
    """The first rows of the orthonormal discrete cosine transform (type 2): (16, 32)."""
    at, frequency = np.arange(_SIDE) + 0.5, np.arange(_KEPT)[:, None]
    scale = np.where(frequency == 0, np.sqrt(1 / _SIDE), np.sqrt(2 / _SIDE))
    return np.asarray(scale * np.cos(np.pi * frequency * at / _SIDE))


_COSINES = _cosines()
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.int64)


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprints:
    """A perceptual hash of one prepared image: (4,) uint64 of (size, size, 3) uint8.

    Bits say which of the 256 lowest spatial frequencies of the grey image lie above their median by more than
    noise. An image without structure (standard deviation below 2 of 255) gets all zeros, so that blank images
    are alike. The method is that of perceptual hashing by cosine transform (Zauner 2010), with more bits.
    """
    grey = Pillow.fromarray(pixels).convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Pillow.Resampling.BOX))
    hashed: Fingerprints = hash_waves(small[None])[0]
    return hashed


def hash_waves(small: NDArray[np.uint8]) -> Fingerprints:
    """The perceptual hash of small grey images: (n, 4) uint64 of (n, 32, 32) uint8."""
    values = small.astype(np.float64)
    # rounded: machines differ in the last bit of a sum, and a wave near the median must not flip by it
    waves = (_COSINES @ values @ _COSINES.T).reshape(len(small), -1).round(3)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True) + _NOISE_LEVELS
    bits[values.std(axis=(1, 2)) < _FLAT_LEVELS] = False
    return np.packbits(bits, axis=1).view(np.uint64)


def alike_groups(fingerprints: Fingerprints, *, threshold: int = THRESHOLD_BITS) -> Groups:
    """Group images that are nearly the same, directly or through others: (n,) int64 of (n, 4) uint64.

    Exact: every pair within `threshold` bits (at most 16) is found. Candidates come from bands: two
    fingerprints within 16 of 256 bits agree in 8 or more of 24 bands, so in two bands of one of 7 sets.
    """
    if not 0 <= threshold <= THRESHOLD_BITS:
        raise ValueError(f"threshold is {threshold}; the bands are made for 0 to {THRESHOLD_BITS}")
    distinct, inverse = np.unique(fingerprints.reshape(-1, 4), axis=0, return_inverse=True)
    groups = join_pairs(len(distinct), _close_pairs(distinct, threshold))[inverse.reshape(-1)]
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place].astype(np.int64)


def _close_pairs(distinct: Fingerprints, threshold: int) -> Iterator[tuple[int, int]]:
    """Pairs of places within `threshold` bits; a pair may come more than once."""
    bits = np.unpackbits(distinct.view(np.uint8).reshape(len(distinct), 32), axis=1)
    for bands in _band_pairs():
        # bits of one band lie 24 apart, so that each band has its share of coarse and of fine structure
        columns = np.concatenate([np.arange(band, bits.shape[1], _BANDS) for band in bands])
        key = bits[:, columns].astype(np.int64) @ (1 << np.arange(len(columns), dtype=np.int64))
        order = np.argsort(key, kind="stable")
        for first, second in _pairs_of_equal(key[order]):
            one, other = order[first], order[second]
            apart = _ONES[(distinct[one] ^ distinct[other]).view(np.uint8)].sum(axis=1)
            near = apart <= threshold
            yield from zip(one[near].tolist(), other[near].tolist(), strict=True)


def _band_pairs() -> list[tuple[int, int]]:
    """Pairs of bands such that any 8 of 24 bands hold one: all pairs within each of 7 sets."""
    return [pair for at in range(_SETS) for pair in combinations(range(at, _BANDS, _SETS), 2)]


def _pairs_of_equal(ordered: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs of places in runs of equal values, about a million at a time, so memory stays bounded."""
    n = len(ordered)
    ends = np.searchsorted(ordered, ordered, side="right")
    partners = ends - np.arange(n) - 1
    start = 0
    reach = np.cumsum(partners)
    while start < n:
        done = reach[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(reach, done + _PAIRS_AT_ONCE, side="right")))
        count = partners[start:stop]
        first = np.repeat(np.arange(start, stop), count)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        if len(first):
            yield first, first + offset + 1
        start = stop
