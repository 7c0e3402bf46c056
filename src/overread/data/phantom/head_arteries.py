"""The arteries of the circle of Willis and their first branches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from overread.data.phantom.shapes import Field, Grid, Point, paint_tube

ARTERIES: dict[str, tuple[float, tuple[Point, ...]]] = {
    # name: radius in mm, path on the left side
    "internal carotid": (2.1, ((13, -8, -12), (12, -10, 1))),
    "middle cerebral": (1.5, ((12, -10, 1), (22, -11, 3), (31, -13, 4), (38, -13, 6))),
    "insular, upper": (1.1, ((38, -13, 6), (39, -4, 12), (40, 6, 18), (45, 14, 24), (56, 19, 30))),
    "insular, front": (1.0, ((38, -13, 6), (40, -18, 12), (42, -17, 20), (52, -20, 28))),
    "anterior cerebral": (1.1, ((12, -10, 1), (6, -15, 3), (2.2, -19, 5))),
    "pericallosal": (1.0, ((2.2, -19, 5), (1.9, -34, 10), (1.8, -40, 18), (1.8, -33, 28), (1.8, -20, 34))),
    "basilar": (1.7, ((0, 1, -14), (0, -1, 0))),
    "posterior cerebral": (1.1, ((0, -1, 0), (8, 2, 1), (18, 11, 3), (19, 23, 6), (14, 36, 10), (12, 52, 16))),
    "posterior communicating": (0.6, ((12, -8, 1), (10, -2, 1), (8, 2, 1))),
}


@dataclass(frozen=True, kw_only=True)
class Artery:
    """One patient's artery: a path of straight pieces in the standard head's mm."""

    radius_mm: float
    path: tuple[Point, ...]


def make_arteries(rng: np.random.Generator) -> tuple[Artery, ...]:
    """Both sides' arteries, each bent a little its own way; some branches are missing."""
    found: list[Artery] = []
    for radius, path in ARTERIES.values():
        for mirror in (1.0, -1.0) if path[-1][0] else (1.0,):
            bend = rng.normal(0, 1.0, (len(path), 3)) * np.minimum(np.arange(len(path)), 3)[:, None]
            bent = tuple(
                (mirror * x + dx, y + dy, z + dz) for (x, y, z), (dx, dy, dz) in zip(path, bend, strict=True)
            )
            if rng.uniform() > 0.06:
                found.append(Artery(radius_mm=radius * rng.uniform(0.8, 1.2), path=bent))
    return tuple(found)


def point_on_artery(rng: np.random.Generator, *, low_mm: float, high_mm: float) -> Point:
    """A point on a random artery of a random side, between two heights."""
    names = list(ARTERIES)
    while True:
        _, path = ARTERIES[names[rng.integers(len(names))]]
        step = rng.integers(len(path) - 1)
        share = rng.uniform()
        x, y, z = (1 - share) * np.array(path[step]) + share * np.array(path[step + 1])
        if low_mm <= z <= high_mm:
            return float(x * rng.choice((-1, 1))), float(y), float(z)


def paint_arteries(picture: Field, grid: Grid, arteries: tuple[Artery, ...], blood_hu: float) -> None:
    """Draw the pieces that this slice cuts, in place."""
    for artery in arteries:
        for ends in pairwise(artery.path):
            paint_tube(picture, grid, ends, artery.radius_mm, hu=blood_hu, edge_mm=1.4)
