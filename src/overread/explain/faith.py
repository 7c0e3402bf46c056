"""Whether what a map marks is what the network uses: deletion and insertion, beside maps that know nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.explain.where import enlarge
from overread.stats.heatmaps import strongest
from overread.stats.infill import fill
from overread.stats.intervals import Measured
from overread.stats.means import measured_mean

Floats = NDArray[np.float64]
Predict = Callable[[NDArray[np.uint8]], Floats]
"""prepared images (m, s, s, 3) to probabilities (m, k)"""

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""of the pixels, the most marked first, that are taken out, or left in"""
NOISE = 10.0
"""grey levels, over what is filled in"""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The probability of the class that is explained, as an image is taken away or comes back: (n, shares + 1)."""

    deletion: Floats = field(repr=False)
    """from the whole image on, with ever more of the most marked places filled in"""
    insertion: Floats = field(repr=False)
    """from an image of its mean on, with ever more of the most marked places left"""

    @property
    def areas(self) -> tuple[Floats, Floats]:
        """The mean height of each curve (n,): low deletion and high insertion speak for a map."""
        x = np.array([0.0, *SHARES])
        spans = np.diff(x) / (x[-1] - x[0])
        down, up = ((c[:, 1:] + c[:, :-1]) / 2 @ spans for c in (self.deletion, self.insertion))
        return np.asarray(down), np.asarray(up)


@dataclass(frozen=True, kw_only=True)
class Faith:
    """What the two curves of a method come to, and how much better they are than those of one other kind of map."""

    deletion: Measured
    insertion: Measured
    against: Mapping[str, tuple[Measured, Measured]]
    """by the other kind: differences of the two areas, this method's less the other's, of the same images"""


def curves(
    predict: Predict,
    squares: NDArray[np.uint8],
    maps: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    targets: ArrayLike,
    *,
    rng: np.random.Generator,
) -> Curves:
    """Take away, and bring back, what maps mark most.

    squares: (n, s, s, 3) prepared images. maps: n maps (h, w) of any size. targets: (n,) the class whose probability
    is followed. Deletion and insertion of Petsiuk et al. (2018), filled in as ROAD does (Rong et al. 2022).
    """
    found = [
        _follow(predict, square, heat, target, rng)
        for square, heat, target in zip(squares, maps, np.asarray(targets, np.int64).tolist(), strict=True)
    ]
    both = np.array(found).reshape(len(found), 2, len(SHARES) + 1)
    return Curves(deletion=both[:, 0], insertion=both[:, 1])


def _follow(
    predict: Predict, square: NDArray[np.uint8], heat: NDArray[np.float32], target: int, rng: np.random.Generator
) -> Floats:
    """The probability of one class in each of the images that one image becomes: (2 * (shares + 1),)."""
    fine = heat if heat.shape == square.shape[:2] else enlarge(heat, len(square))
    marked = [strongest(fine, share) for share in SHARES]
    none = np.zeros(square.shape[:2], bool)
    missing = [none, *marked, ~none, *(~one for one in marked)]
    changed = np.stack([fill(square, one, noise=NOISE if one.any() else 0.0, rng=rng) for one in missing])
    return predict(changed)[:, target]


def compare_faith(method: Curves, others: Mapping[str, Curves], patients: Sequence[str] | None) -> Faith:
    """The areas under a method's curves, and how they differ from the others' on the same images, by patient."""
    down, up = method.areas
    against = {}
    for name, other in others.items():
        other_down, other_up = other.areas
        against[name] = (
            measured_mean("deletion_difference", down - other_down, patients),
            measured_mean("insertion_difference", up - other_up, patients),
        )
    return Faith(
        deletion=measured_mean("deletion", down, patients),
        insertion=measured_mean("insertion", up, patients),
        against=against,
    )
