"""Skin, fat, muscle and bone around the lungs."""

from __future__ import annotations

import numpy as np

from overread.data.phantom.chest import Chest
from overread.data.phantom.shapes import Field, Grid, bump, ellipse, flat_tube, inside, paint, rise

FAT_HU, MUSCLE_HU = -100.0, 55.0


def paint_wall(hu: Field, chest: Chest, grid: Grid, ring: Field, turns: Field, bend: Field, grain: Field) -> None:
    """Skin, fat, breast, and the muscles around the ribs; `ring` is the signed distance to the inside of the ribs."""
    edge = grid.edge_mm
    breast = chest.breast_mm * bump(np.abs(grid.x), 70, 66) ** 2 * rise(turns, 0.5, 0.75) * bump(grid.z, -25, 70)
    thick = 12 + 1.1 * chest.muscle_mm + chest.fat_mm * (0.75 + 0.35 * rise(turns, 0.3, 0.8)) + 1.2 * bend
    thick = thick + 13 * rise(turns, 0.42, 0.16) + breast
    muscle = np.minimum(_muscle_mm(chest, grid, turns, bend), thick - 3 - 0.25 * chest.fat_mm)
    paint(hu, inside(ring - thick, edge), 25)
    paint(hu, inside(ring - thick + 2.4, edge), FAT_HU + 7 * grain)
    gland = inside(ring - 0.4 * muscle - 0.6 * thick, 8) * rise(breast, 6, 14) * rise(0.5 * grain + bend, 0.1, 1.2)
    paint(hu, gland * 0.7, 25)
    paint(hu, inside(ring - muscle, edge), MUSCLE_HU + 4 * grain)
    layers = (ring - 11 - 0.5 * (muscle - 11), rise(muscle, 19, 26) * 0.9), (ring - 10.5, np.float32(0.6))
    for seam, share in layers:
        paint(hu, inside(np.abs(seam) - 0.75, 2.3) * share, FAT_HU)


def _muscle_mm(chest: Chest, grid: Grid, turns: Field, bend: Field) -> Field:
    """How thick the muscle is outside the ribs: on the breast, on the back, and at the flanks."""
    side = np.abs(grid.x)
    front = 13 * bump(side, 62, 52) * rise(turns, 0.6, 0.75) * rise(grid.z, -25, 10)
    back = 24 * bump(side, 30, 32) * rise(turns, 0.3, 0.12)
    flank = 14 * bump(turns, 0.42, 0.24) * rise(grid.z, -70, -10)
    thick: Field = 11 + chest.muscle_mm * (0.75 + 0.12 * bend) + front + back + flank
    return thick


def paint_ribs(hu: Field, chest: Chest, grid: Grid, ring: Field, turns: Field) -> None:
    """Ribs slope down towards the front, so each slice cuts several of them obliquely; and the sternum."""
    edge = grid.edge_mm
    drop = 82 * turns**0.9 + 3 * np.sign(grid.x)
    place = (grid.z + drop + np.float32(chest.rib_offset_mm)) / 25
    height = 25 * (place - np.floor(place) - np.float32(0.5))
    rib = (np.sqrt((height / np.float32(6.8)) ** 2 + ((ring - 5) / 4.0) ** 2) - 1) * 4.0
    rib = np.maximum(rib, 14 - np.abs(grid.x))
    cartilage = rise(turns, 0.76, 0.82)
    paint(hu, inside(rib, edge), 780 - 670 * cartilage)
    paint(hu, inside(rib + 1.9, edge * 1.3), 230 - 130 * cartilage)
    front = ring - 6.5
    sternum = np.maximum(np.abs(front) - 5.5, np.abs(grid.x) - 17 - 3 * rise(grid.z, -20, 40))
    sternum = np.where(grid.y < 0, sternum, np.float32(99))
    paint(hu, inside(sternum, edge) * rise(grid.z, -85, -65), 520)
    paint(hu, inside(sternum + 2.0, edge * 1.4) * rise(grid.z, -85, -65), 160)
    side = np.abs(grid.x)
    blade = flat_tube(side, grid.y, (78, 96), (118, 62), 2.6)
    paint(hu, inside(blade, edge) * rise(grid.z, -25, 5) * inside(14 - ring, 3) * inside(ring - 30, 3), 560)


def paint_spine(hu: Field, grid: Grid, grain: Field) -> None:
    """A vertebra with its canal, and the cord in it."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    edge = grid.edge_mm
    level = np.abs((z / 24) % 1 - 0.5) * 2
    arch = np.minimum(flat_tube(side, y, (12, 84), (12, 96), 4.0), flat_tube(side, y, (9, 100), (34, 96), 4.2))
    spine = flat_tube(side, y, (0, 104), (0, 124), 3.2)
    bone = np.minimum(np.minimum(arch, spine), np.abs(ellipse(side, y, at=(0, 94), radii=(12, 11))) - 2.4)
    paint(hu, inside(bone, edge), 620)
    paint(hu, inside(bone + 1.8, edge * 1.3), 260)
    body = ellipse(side, y, at=(0, 73), radii=(17.5, 14))
    paint(hu, inside(body, edge), 480)
    paint(hu, inside(body + 1.8, edge * 1.3), 190 + 30 * grain - 60 * rise(level, 0.75, 0.95))
    paint(hu, inside(ellipse(side, y, at=(0, 94), radii=(9.5, 8.5)), edge), 15)
    paint(hu, inside(ellipse(side, y, at=(0, 94), radii=(5, 4.2)), edge), 38)
