"""Branching vessels and bronchi of the lungs, grown once a patient and cut by every slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.data.phantom.shapes import Field, Grid, Point, Pose, paint_tube

_Points = NDArray[np.float64]
_Pieces = tuple[_Points, _Points, _Points]
"""Starts (n, 3), ends (n, 3) and radii (n,) of one generation, in mm."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Straight pieces of vessels: `starts` and `ends` (n, 3) in the scanner's mm, `radii_mm` (n,)."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    airway: bool


def grow_trees(rng: np.random.Generator, *, stretch: tuple[float, float], pose: Pose) -> tuple[Tree, ...]:
    """Grow vessels and bronchi of both lungs from the hila outwards."""
    return tuple(
        _placed(_grow(rng, np.array((mirror * 42.0, 10.0, -10.0)), airway=airway), stretch, pose, airway=airway)
        for mirror in (1.0, -1.0)
        for airway in (False, True)
    )


def _grow(rng: np.random.Generator, hilum: _Points, *, airway: bool) -> list[_Pieces]:
    """Grow one tree a generation at a time: each piece goes on, bent, or forks, until it is too thin."""
    count, thinnest = (8, 1.25) if airway else (34, 0.34)
    outwards = np.array((np.sign(hilum[0]) * 0.55, 0.05, 0.0))
    starts = hilum + rng.normal(0, 5, (count, 3))
    headings = _unit(rng.standard_normal((count, 3)) * (0.75, 0.9, 1.0) + outwards)
    radii = rng.uniform(2.2, 3.6, count)
    pieces = []
    while len(radii):
        lengths = rng.uniform(7, 13, len(radii)) * np.maximum(radii, 0.7) ** 0.4
        ends = starts + headings * lengths[:, None]
        pieces.append((starts, ends, radii))
        forks = rng.uniform(size=len(radii)) < 0.62
        across = _unit(np.cross(headings, rng.standard_normal(headings.shape)))
        thinner = radii * rng.uniform(0.84, 0.95, len(radii)) * np.where(forks, 0.87, 1.0)
        grown = [(ends, headings, across * np.where(forks, 0.32, 0.16)[:, None], thinner)]
        grown.append((ends[forks], headings[forks], -0.42 * across[forks], 0.88 * thinner[forks]))
        starts, headings, bends, radii = (np.concatenate(parts) for parts in zip(*grown, strict=True))
        bends = bends * rng.uniform(0.6, 1.6, len(radii))[:, None] + rng.normal(0, 0.10, bends.shape)
        alive = radii > thinnest
        starts, headings, radii = starts[alive], _unit(headings + bends)[alive], radii[alive]
    return pieces


def _unit(vectors: _Points) -> _Points:
    unit: _Points = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _placed(pieces: list[_Pieces], stretch: tuple[float, float], pose: Pose, *, airway: bool) -> Tree:
    """The pieces in the scanner's millimetres."""
    starts, ends, radii = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    scale = np.array((*stretch, 1.0))

    def place(points: _Points) -> _Points:
        x, y, z = (points * scale).T
        return np.stack([*pose.to_scanner(x, y), z], axis=1)

    return Tree(starts=place(starts), ends=place(ends), radii_mm=radii, airway=airway)


def paint_trees(hu: Field, trees: tuple[Tree, ...], grid: Grid, *, within: Field, blood_hu: float) -> None:
    """Draw the pieces that this slice cuts, in place, only `within` the lungs."""
    edge = grid.pixel_mm
    for tree in trees:
        reach = tree.radii_mm + 2 * edge
        low, high = np.minimum(tree.starts, tree.ends)[:, 2] - reach, np.maximum(tree.starts, tree.ends)[:, 2] + reach
        for index in np.flatnonzero((low < grid.z_mm) & (grid.z_mm < high)):
            radius, ends = float(tree.radii_mm[index]), (_point(tree.starts[index]), _point(tree.ends[index]))
            if tree.airway:
                paint_tube(hu, grid, ends, 1.35 * radius, hu=-250, edge_mm=edge, within=0.8 * within)
                paint_tube(hu, grid, ends, 0.85 * radius, hu=-970, edge_mm=edge, within=within)
            else:
                paint_tube(hu, grid, ends, radius, hu=blood_hu, edge_mm=1.1 * edge, within=within)


def _point(values: _Points) -> Point:
    x, y, z = values.tolist()
    return x, y, z
