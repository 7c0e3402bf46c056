"""What lies between the lungs and under them: heart, great vessels, gullet, airways, liver and spleen."""

from __future__ import annotations

import numpy as np

from overread.data.phantom.chest import Chest, diaphragm
from overread.data.phantom.shapes import Field, Grid, Point, bump, ellipse, flat_tube, inside, paint, paint_tube, rise

AIR_HU = -985.0
_PULMONARY_ARTERIES: tuple[tuple[Point, Point], ...] = (
    ((14, -28, -4), (6, -10, -6)),
    ((6, -8, -6), (-42, 8, -8)),
    ((16, -22, -2), (40, 14, 0)),
)


def paint_mediastinum(hu: Field, chest: Chest, grid: Grid) -> None:
    """Paint all of it but the airways, in place, over fat."""
    blood, edge = chest.blood_hu, grid.pixel_mm * 1.4
    right, left = diaphragm(chest, grid)
    paint(hu, inside(left, edge), 50 + 0.25 * blood)
    paint(hu, inside(right, edge), 55 + 0.22 * blood)
    _paint_heart(hu, chest, grid)
    _paint_great_vessels(hu, chest, grid)
    gullet = ellipse(grid.x, grid.y, at=(7, 41), radii=(8, 5.5))
    paint(hu, inside(gullet, edge), 40)
    paint(hu, inside(gullet + 4.2, edge), -400)


def _paint_heart(hu: Field, chest: Chest, grid: Grid) -> None:
    """Muscle around four chambers; after contrast the blood in them is brighter."""
    x, y, blood = grid.x, grid.y, chest.blood_hu
    size = chest.heart * bump(grid.z, -54, 58)
    heart = np.minimum(
        ellipse(x, y, at=(24, -20), radii=(57 * size, 42 * size), turn=28),
        ellipse(x, y, at=(-14, -8), radii=(36 * size, 38 * size)),
    )
    paint(hu, inside(heart, grid.pixel_mm * 1.4), 62 + 0.15 * (blood - 42))
    chambers: tuple[tuple[tuple[float, float], tuple[float, float], float, float], ...] = (
        # place, radii, turn, share of the blood's density
        ((44, -10), (25, 13), 34, 1.0),
        ((8, -38), (30, 14), 18, 0.9),
        ((-26, -8), (16, 22), 0, 0.85),
        ((8, 15), (25, 13), 5, 1.0),
    )
    for at, (wide, deep), turn, share in chambers:
        room = ellipse(x, y, at=at, radii=(wide * size, deep * size), turn=turn)
        paint(hu, inside(np.maximum(room, heart + 3), 3.0), max(share * blood, 40))


def _paint_great_vessels(hu: Field, chest: Chest, grid: Grid) -> None:
    """Aorta with its arch, pulmonary trunk and arteries, the two great veins and the azygos."""
    x, y, z, blood, big = grid.x, grid.y, grid.z, chest.blood_hu, chest.aorta_mm
    edge = grid.pixel_mm * 1.4
    above, root = rise(z, -34, -26), bump(z, -4, 26)
    vessels: tuple[tuple[tuple[float, float], tuple[float, float], Field, float], ...] = (
        # place, radii, share where it runs through this slice, share of the blood's density
        ((-13, -26), (big + 4, big + 4), above * rise(z, 52, 44), 1.0),
        ((14, -30), (13.5, 12), bump(z, -6, 26), 0.95),
        ((-29, -18), (8.5, 10), above, 0.9),
        ((25, 53), (big, big), rise(z, 48, 40), 1.0),
        ((-8, 57), (3.6, 3.6), np.ones_like(z), 0.8),
        ((-26, 2), (12, 10), rise(z, -72, -80), 0.8),
    )
    for at, radii, share, density in vessels:
        paint(hu, inside(ellipse(x, y, at=at, radii=radii), edge) * np.sqrt(share), max(density * blood, 40))
    arch = flat_tube(x, y, (-10, -18), (24, 46), big - 0.5)
    paint(hu, inside(arch, edge) * bump(z, 42, 9), blood)
    for ends in _PULMONARY_ARTERIES:
        paint_tube(hu, grid, ends, 8.5, hu=0.95 * blood, edge_mm=edge, within=root)


def paint_airways(hu: Field, chest: Chest, grid: Grid) -> None:
    """Windpipe and main bronchi, above the diaphragm: a thin wall around air."""
    above = inside(-np.minimum(*diaphragm(chest, grid)), 2)
    tubes: list[tuple[Point, Point, float]] = [((0, 14, 0), (0, 12, 90), 8.6)]
    for mirror, low in ((1.0, -26.0), (-1.0, -18.0)):
        fork = (mirror * 34, 16.0, low)
        tubes.append(((0, 15, 0), fork, 6.2))
        tubes.append((fork, (mirror * 47, 26, low - 32), 4.0))
        tubes.append((fork, (mirror * 52, 4, low + 6), 3.2))
    for wall, density in ((1.5, 30.0), (0.0, AIR_HU)):
        for start, end, radius in tubes:
            paint_tube(hu, grid, (start, end), radius + wall, hu=density, edge_mm=grid.edge_mm, within=above)
