"""Pictures in the order of their names, and whether they follow one another as the slices of a series do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.audit.subject import Subject
from overread.data.rows import natural_key

Floats = NDArray[np.float32]

_CONTROLS = 4000
_CONTROL_QUANTILE = 0.95
_BEYOND_CHANCE = 0.3
"""how much more often neighbours are alike than two images of the class at random, for a class to be smooth"""
_FEWEST = 8


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How smoothly the images of one class follow one another.

    An image continues a run where it resembles the one before more than 95 of 100 pairs of different classes
    resemble each other. `linked` is the share of neighbours that do, `at_random` that of any two of the class.
    """

    n_images: int
    n_runs: int
    linked: float
    at_random: float

    @property
    def mean_length(self) -> float:
        """Images in a run, on the average."""
        return self.n_images / self.n_runs

    @property
    def is_smooth(self) -> bool:
        """True if neighbours are alike much more often than chance would have it."""
        return self.n_images >= _FEWEST and self.linked >= self.at_random + _BEYOND_CHANCE

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def find_runs(subject: Subject) -> dict[str, Runs]:
    """The runs of each class, by the natural order of file names."""
    small = _centred(subject.thumbnails)
    labels, rng = subject.labels, subject.rng()
    one, other = rng.integers(len(subject), size=(2, _CONTROLS))
    apart = labels[one] != labels[other]
    least = float(np.quantile(_alike(small, one[apart], other[apart]), _CONTROL_QUANTILE))
    found = {}
    for code, name in enumerate(subject.cohort.classes):
        places = np.array(
            sorted(np.flatnonzero(labels == code), key=lambda at: natural_key(subject.name(int(at)))), np.int64
        )
        if len(places) < 2:
            continue
        follows = _alike(small, places[:-1], places[1:]) > least
        any_two = _alike(small, *rng.choice(places, size=(2, _CONTROLS))) > least
        found[name] = Runs(
            n_images=len(places),
            n_runs=int((~follows).sum()) + 1,
            linked=float(follows.mean()),
            at_random=float(any_two.mean()),
        )
    return found


def _centred(thumbnails: NDArray[np.uint8]) -> Floats:
    """Each small image as a vector without its mean, of length 1: (n, SIDE * SIDE) float32."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat


def _alike(small: Floats, one: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
    """Correlation of pairs of small images: (p,)."""
    result: Floats = np.einsum("ij,ij->i", small[one], small[other])
    return result
