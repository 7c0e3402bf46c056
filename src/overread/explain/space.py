"""What a network's features are sorted by: the disease, or the scanner that the image came from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.intervals import Measured
from overread.stats.means import measured_mean
from overread.stats.neighbours import expected_purity, principal_plane, purity, silhouette

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

NEAREST = 5
CLASS, PATIENT = "class", "patient"
MACHINES = {
    "site": "site",
    "scanner": "scanner",
    "manufacturer": "scanner",
    "kernel": "kernel",
    "thickness": "slice thickness",
}
"""Facts of where an image was made, which say nothing of a disease, and the word for each in a sentence."""
_MOST_IMAGES = 5_000
"""So many are drawn where there are more: the time grows with their square."""


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """How far images that share one fact are neighbours in the features.

    The intervals take patients as independent. Neighbours share neighbours, so that they are somewhat too narrow: of
    40 patients whose features knew nothing of the class, the interval of 95 % held chance in 87 of 100 simulations.
    """

    fact: str
    n_values: int
    purity: Measured
    """share of the nearest images that have the same value"""
    expected: float
    """the purity of neighbours drawn blindly"""
    silhouette: Measured

    @property
    def excess(self) -> float:
        """Purity above chance, as a share of all that chance leaves: 0 is chance, 1 is pure (as Cohen's kappa)."""
        return self._beyond_chance(self.purity.value)

    @property
    def excess_interval(self) -> tuple[float, float]:
        """The 95 % interval of the excess; the excess itself, twice, where the purity has none."""
        known = not math.isnan(self.purity.low)
        ends = (self.purity.low, self.purity.high) if known else (self.purity.value, self.purity.value)
        return self._beyond_chance(ends[0]), self._beyond_chance(ends[1])

    def _beyond_chance(self, share: float) -> float:
        return (share - self.expected) / (1 - self.expected)


@dataclass(frozen=True, kw_only=True)
class Space:
    """The features laid flat, and how they cluster by each fact that is known."""

    plane: Floats = field(repr=False)
    """(n, 2) along the two principal directions"""
    shares: tuple[float, float]
    """how much of the features' variance each direction holds; nan where they do not vary"""
    values: Mapping[str, tuple[str, ...]] = field(repr=False)
    """each fact: its value for each image, (n,); "" where unknown"""
    clusterings: tuple[Clustering, ...]
    """the class first; facts by which nothing can cluster are left out"""

    def clustering(self, fact: str) -> Clustering | None:
        """That of one fact; None where it could not be measured."""
        return next((one for one in self.clusterings if one.fact == fact), None)


def space_of(
    features: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    patients: Sequence[str | None] | None,
    facts: Mapping[str, Sequence[str]],
    rng: np.random.Generator,
) -> Space:
    """Measure whether images of one class, patient, scanner and so on are neighbours.

    features: (n, d) float, as the last layer sees them, not standardised. labels: (n,) places in `classes`.
    patients: (n,); where one or more are unknown, images count as independent. facts: each (n,), "" where unknown.
    rng: draws 5,000 images to measure on where there are more. Neighbours are images of other patients, but for the
    fact "patient", which is measured among patients of two images or more. ValueError where features are not finite.
    """
    x = np.asarray(features, np.float64)
    plane = principal_plane(x)
    known = None if patients is None or None in patients else [str(patient) for patient in patients]
    values = {CLASS: tuple(classes[place] for place in np.asarray(labels, np.int64))}
    if known is not None:
        values[PATIENT] = tuple(known)
    values |= {name: tuple(of) for name, of in facts.items() if name not in values}
    for name, of in values.items():
        if len(of) != len(x):
            raise ValueError(f"the {name} of {len(of)} images is given for features of {len(x)}")
    drawn = np.arange(len(x))
    if len(x) > _MOST_IMAGES:
        drawn = np.sort(rng.choice(len(x), _MOST_IMAGES, replace=False))
    found = (_cluster(name, x[drawn], [of[int(i)] for i in drawn], _of(known, drawn)) for name, of in values.items())
    return Space(
        plane=plane.points,
        shares=(float(plane.shares[0]), float(plane.shares[1])),
        values=values,
        clusterings=tuple(one for one in found if one is not None),
    )


def sentence(space: Space) -> str:
    """What the features are sorted by, for a radiologist: the class beside the machine that they follow most."""
    own = space.clustering(CLASS)
    if own is None:
        return (
            "Whether images of one class lie together in the network's features cannot be said: "
            "it takes two classes, and two patients in one of them."
        )
    machines = [one for one in space.clusterings if one.fact in MACHINES]
    text = f"In the network's features images lie with others of their class {_shares(own, first=True)}"
    if not machines:
        return f"{text}{'' if _apart_from_chance(own) else ': no more than chance would have it'}."
    most = max(machines, key=lambda one: one.excess)
    beside = f"{_compare(own, most)} with others of their {MACHINES[most.fact]} {_shares(most)}"
    stronger = [MACHINES[one.fact] for one in machines if _clearly_more(one, own)]
    return " ".join([f"{text} {beside}.", *_warning(list(dict.fromkeys(stronger)))])


def _cluster(fact: str, x: Floats, values: Sequence[str], patients: Sequence[str] | None) -> Clustering | None:
    """The clustering by one fact; None where it has one value, or no image has another to share it with."""
    kept = np.flatnonzero([value != "" for value in values])
    if fact == PATIENT:
        kept = _repeated(values)
    of, whose = [values[int(i)] for i in kept], _of(patients, kept)
    groups = None if fact == PATIENT else whose
    n_values = len(set(of))
    expected = expected_purity(of, groups) if n_values > 1 else math.nan
    # nan: all of one patient; 0: every value is of one image, or of one patient
    if not expected > 0:
        return None
    shares = purity(x[kept], of, k=NEAREST, groups=groups)
    return Clustering(
        fact=fact,
        n_values=n_values,
        purity=measured_mean("purity", shares, whose),
        expected=expected,
        silhouette=measured_mean("silhouette", silhouette(x[kept], of, groups), whose),
    )


def _repeated(values: Sequence[str]) -> Places:
    """Places of the values that occur twice or more."""
    _, codes, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[codes] > 1)


def _of(patients: Sequence[str] | None, places: Iterable[int]) -> list[str] | None:
    return None if patients is None else [patients[int(place)] for place in places]


def _shares(one: Clustering, *, first: bool = False) -> str:
    nearest = f" of the {NEAREST} nearest" if first else ""
    return f"({one.purity.value:.2f}{nearest}, {one.expected:.2f} expected by chance)"


def _compare(own: Clustering, machine: Clustering) -> str:
    if _clearly_more(own, machine):
        return "more than"
    return "less than" if _clearly_more(machine, own) else "about as much as"


def _clearly_more(one: Clustering, other: Clustering) -> bool:
    """Whether the excess of one lies above that of the other, interval and all."""
    return one.excess_interval[0] > other.excess_interval[1]


def _apart_from_chance(one: Clustering) -> bool:
    return one.excess_interval[0] > 0


def _warning(machines: Sequence[str]) -> Iterable[str]:
    if machines:
        names = " and the ".join(machines)
        yield (
            f"Beware: the features follow the {names} more closely than the class, "
            f"so that an answer may rest on the {names} and not on the disease."
        )
