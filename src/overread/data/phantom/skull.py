"""Skin, fat, muscle and bone around the brain."""

from __future__ import annotations

import numpy as np

from overread.data.phantom.head import Head
from overread.data.phantom.shapes import Field, Grid, bump, ellipse, inside, paint, rise

FAT_HU, MUSCLE_HU, AIR_HU, FLUID_HU = -95.0, 58.0, -960.0, 11.0


def paint_skull(hu: Field, head: Head, grid: Grid, inner: Field, bend: Field, grain: Field) -> None:
    """Paint all that lies outside the brain, and fluid within; `inner` is the signed distance to the inner table.

    The skull has two tables with diploe between; it is thin at the temples and holds the frontal sinus.
    """
    edge = grid.edge_mm
    side = np.abs(grid.x)
    front, temple = rise(grid.y, -20, -70), bump(grid.y, -12, 40) * rise(side, 40, 58)
    skull = head.skull_mm * (1 + 0.08 * bend + 0.35 * front * rise(side, 30, 0) + 0.25 * rise(grid.y, 50, 80))
    skull = skull * (1 - 0.42 * temple)
    muscle = 8 * bump(grid.y, -22, 42) ** 2 * rise(side, 40, 60) * rise(grid.z, 46, 0)
    skin = inner - skull - muscle - head.scalp_mm * (1 + 0.10 * bend)
    paint(hu, inside(skin, edge), 30)
    paint(hu, inside(skin + 1.9, edge), FAT_HU + 8 * grain)
    paint(hu, inside(inner - skull - muscle, edge), MUSCLE_HU + 5 * grain)
    paint(hu, inside(inner - skull, edge), 1250 + 60 * grain)
    diploe = np.maximum(inner - skull + 1.6, 1.7 - inner)
    paint(hu, inside(diploe, edge * 1.6), 560 + 150 * grain)
    pocket = ellipse(side, grid.y, at=(9.0, -89), radii=(13, 3.2 * rise(grid.z, 14, 2)))
    sinus = np.maximum(np.maximum(pocket, inner - skull + 1.5), 1.5 - inner)
    paint(hu, inside(sinus, edge), AIR_HU if head.sinus_mm > 6 else 700)
    paint(hu, inside(inner, edge), FLUID_HU)
