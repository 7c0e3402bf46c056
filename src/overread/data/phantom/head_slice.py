"""One slice of a head in Hounsfield units: contrast-enhanced CT, from the basal cisterns to the ventricles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.data.phantom.brain import paint_brain, paint_midline, paint_nuclei, paint_ventricles
from overread.data.phantom.brain_base import paint_base
from overread.data.phantom.head import Head, skull_radius, standard_grid, tilted
from overread.data.phantom.head_arteries import paint_arteries
from overread.data.phantom.shapes import Field, Grid, Point, inside
from overread.data.phantom.skull import paint_skull


@dataclass(frozen=True, kw_only=True)
class HeadSlice:
    """One slice's picture, and what lesions need to know of it.

    `hu` in Hounsfield units; `grid` in the standard head's mm; `inner_mm` the signed distance to the inside of the
    skull; `brain` and `white` the shares of each pixel that are brain and white matter.
    """

    hu: Field
    grid: Grid
    inner_mm: Field
    brain: Field
    white: Field


def draw_head(head: Head, grid: Grid, *, masses: Sequence[tuple[Point, float]] = ()) -> HeadSlice:
    """Draw one slice without noise; `masses` (centre and radius in mm) push what lies around them aside."""
    size = grid.x.shape[0]
    bends = tuple(bend.at(grid.z_mm, size) for bend in head.bends)
    body = tilted(head, grid)
    turns = (np.arctan2(body.x, -body.y) / np.float32(2 * np.pi)).astype(np.float32)
    inner = np.hypot(body.x, body.y) - skull_radius(head, body, turns)
    still = moved = standard_grid(head, body, bends)
    for centre, radius_mm in masses:
        moved = _pushed(moved, centre, radius_mm)
    hu = np.full_like(inner, -1000)
    paint_skull(hu, head, moved, inner, bends[0], head.grain.at(grid.z_mm, size))
    subarachnoid_mm = 1.0 + 0.35 * head.sulci_mm * (1 + bends[1]).clip(0, 3)
    brain = inside(inner + subarachnoid_mm, grid.pixel_mm * 1.3)
    white = paint_brain(hu, head, grid, inner, brain, turns)
    paint_nuclei(hu, head, moved, brain)
    paint_base(hu, head, moved, brain, inner)
    paint_ventricles(hu, head, moved)
    paint_midline(hu, head, moved, inner)
    paint_arteries(hu, moved, head.arteries, head.vessel_hu)
    return HeadSlice(hu=hu, grid=still, inner_mm=inner, brain=brain, white=white)


def _pushed(grid: Grid, centre: Point, radius_mm: float) -> Grid:
    """Coordinates in which what lay at `centre` has been pushed aside by a mass."""
    dx, dy, dz = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1]), grid.z - np.float32(centre[2])
    pull = np.float32(0.38) * np.exp(-(dx * dx + dy * dy + dz * dz) / np.float32((1.7 * radius_mm) ** 2))
    return grid.moved(x=grid.x - pull * dx, y=grid.y - pull * dy, z=grid.z - pull * dz)
