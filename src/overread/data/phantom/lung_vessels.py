"""Branching vessels and bronchi of the lungs, grown once a patient and cut by every slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.data.phantom.shapes import Field, Grid, inside, paint, tube


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Straight pieces of vessels: `starts` and `ends` (n, 3) in the scanner's mm, `radii_mm` (n,)."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    airway: bool


def grow_trees(
    rng: np.random.Generator, *, stretch: tuple[float, float], shift_mm: tuple[float, float], turn_deg: float
) -> tuple[Tree, ...]:
    """Grow arteries, veins and bronchi of both lungs from the hila outwards."""
    trees = []
    for mirror in (1.0, -1.0):
        hilum = np.array((mirror * 42.0, 10.0, -10.0))
        for airway in (False, True):
            pieces = _grow(rng, hilum, mirror, airway=airway)
            trees.append(_placed(pieces, stretch, shift_mm, turn_deg, airway=airway))
    return tuple(trees)


def _grow(rng: np.random.Generator, hilum: NDArray[np.float64], mirror: float, *, airway: bool) -> list[_Piece]:
    pieces: list[_Piece] = []
    heads = []
    for _ in range(4 if airway else 22):
        heading = rng.standard_normal(3) * (0.75, 0.9, 1.0) + (mirror * 0.55, 0.05, 0.0)
        start = hilum + rng.normal(0, 5, 3)
        heads.append((start, heading / np.linalg.norm(heading), rng.uniform(2.2, 3.6)))
    smallest = 1.7 if airway else 0.38
    while heads:
        start, heading, radius = heads.pop()
        end = start + heading * rng.uniform(7.0, 13.0) * max(radius, 0.7) ** 0.4
        pieces.append((start, end, radius))
        narrower = radius * rng.uniform(0.82, 0.93)
        turns = (0.32, -0.42) if rng.uniform() < 0.62 else (0.16,)
        across = np.cross(heading, rng.standard_normal(3))
        across /= np.linalg.norm(across)
        for turn in turns:
            bent = heading + turn * rng.uniform(0.6, 1.6) * across + rng.normal(0, 0.10, 3)
            thin = narrower * (0.86 if len(turns) > 1 else 1.0) * (0.88 if turn < 0 else 1.0)
            if thin > smallest:
                heads.append((end, bent / np.linalg.norm(bent), thin))
    return pieces


_Piece = tuple[NDArray[np.float64], NDArray[np.float64], float]


def _placed(
    pieces: list[_Piece],
    stretch: tuple[float, float],
    shift_mm: tuple[float, float],
    turn_deg: float,
    *,
    airway: bool,
) -> Tree:
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turn = np.array(((cos, -sin, 0), (sin, cos, 0), (0, 0, 1)))
    scale, shift = np.array((*stretch, 1.0)), np.array((*shift_mm, 0.0))
    starts = np.array([piece[0] for piece in pieces]) * scale @ turn.T + shift
    ends = np.array([piece[1] for piece in pieces]) * scale @ turn.T + shift
    return Tree(starts=starts, ends=ends, radii_mm=np.array([piece[2] for piece in pieces]), airway=airway)


def paint_trees(hu: Field, trees: tuple[Tree, ...], grid: Grid, *, within: Field, blood_hu: float) -> None:
    """Draw the pieces that this slice cuts, in place, only `within` the lungs."""
    z, edge = float(grid.z[0, 0]), grid.pixel_mm
    for tree in trees:
        reach = tree.radii_mm + 2 * edge
        low, high = np.minimum(tree.starts, tree.ends)[:, 2] - reach, np.maximum(tree.starts, tree.ends)[:, 2] + reach
        for index in np.flatnonzero((low < z) & (z < high)):
            radius = float(tree.radii_mm[index])
            near = tube(grid, tuple(tree.starts[index]), tuple(tree.ends[index]), radius)
            if near is None:
                continue
            part, distance = near
            if tree.airway:
                paint(hu[part], inside(distance - 0.7, edge) * within[part] * 0.8, -150)
                paint(hu[part], inside(distance + 0.5, edge) * within[part], -970)
            else:
                paint(hu[part], inside(distance, edge * 1.1) * within[part], blood_hu)
