"""One slice of a chest in Hounsfield units, between the aortic arch and the dome of the liver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from overread.data.phantom.chest import Chest, behind_fissure, lung_distance, ring_distance, standard_grid
from overread.data.phantom.chest_wall import FAT_HU, paint_ribs, paint_spine, paint_wall
from overread.data.phantom.lung_vessels import paint_trees
from overread.data.phantom.mediastinum import paint_airways, paint_mediastinum
from overread.data.phantom.shapes import Field, Grid, inside, paint, rise


@dataclass(frozen=True, kw_only=True)
class ChestSlice:
    """One slice's picture, and what lesions need to know of it.

    `hu` in Hounsfield units; `grid` in the standard chest's mm; `lung_mm` the signed distance to the lungs' edge;
    `fissure_mm` that to the fissure, negative in front; `grain` fine noise of deviation 1.
    """

    hu: Field
    grid: Grid
    lung_mm: Field
    fissure_mm: Field
    grain: Field


def draw_chest(chest: Chest, grid: Grid, *, lesions: Callable[[ChestSlice], None] | None = None) -> ChestSlice:
    """Draw one slice without noise; `lesions` paints into the lungs before the vessels are drawn."""
    size = grid.x.shape[0]
    bends = tuple(bend.at(grid.z_mm, size) for bend in chest.bends)
    grain, patches = chest.grain.at(grid.z_mm, size), chest.patches.at(grid.z_mm, size)
    standard = standard_grid(chest, grid, bends)
    ring, turns = ring_distance(chest, grid, bends)
    hu = np.full_like(ring, -1000)
    paint_wall(hu, chest, standard, ring, turns, bends[0], grain)
    paint_ribs(hu, chest, standard, ring, turns)
    paint(hu, inside(ring, grid.edge_mm), FAT_HU + 8 * grain)
    paint_mediastinum(hu, chest, standard)
    paint_spine(hu, standard, grain)
    lung_mm = lung_distance(chest, standard, ring)
    fissure_mm = behind_fissure(standard.x, standard.y, standard.z) + 2.5 * patches
    picture = ChestSlice(hu=hu, grid=standard, lung_mm=lung_mm, fissure_mm=fissure_mm, grain=grain)
    _paint_lungs(picture, chest, patches)
    if lesions is not None:
        lesions(picture)
    paint_trees(hu, chest.trees, grid, within=inside(lung_mm, grid.pixel_mm), blood_hu=max(chest.blood_hu, 60))
    paint_airways(hu, chest, standard)
    return picture


def _paint_lungs(picture: ChestSlice, chest: Chest, patches: Field) -> None:
    """Air cells, denser towards the back; fissures; collapse at the back and emphysema in some patients."""
    y, grain = picture.grid.y, picture.grain
    density = chest.lung_hu + chest.slope_hu * y / 90 + 10 * patches + 14 * grain
    behind = rise(-picture.lung_mm + 4 * patches, 16, 2) * rise(y, 30, 75)
    density = density + chest.atelectasis * 420 * behind * (0.6 + 0.25 * patches).clip(0, 1)
    bullae = rise(patches + 0.5 * grain, 0.5, 1.9) * chest.emphysema
    density = density + bullae * (-965 - density)
    fissure = np.abs(picture.fissure_mm) - 0.25
    density = density + 170 * inside(fissure, 1.8) * rise(-picture.lung_mm, 0, 4)
    paint(picture.hu, inside(picture.lung_mm, picture.grid.pixel_mm * 1.3), density)
