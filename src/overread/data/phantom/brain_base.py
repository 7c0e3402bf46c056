"""The base of the brain: cisterns, fissures, midbrain, cerebellum and its tent, and the ridge of the skull.

`side` is the distance from the midline, in the standard head's mm; `wide` how much fluid there is.
"""

from __future__ import annotations

import numpy as np

from overread.data.phantom.brain import CSF_HU
from overread.data.phantom.head import Head
from overread.data.phantom.shapes import Field, Grid, bump, ellipse, flat_tube, inside, paint, rise


def paint_base(hu: Field, head: Head, grid: Grid, brain: Field, inner: Field) -> None:
    """Paint what lies below the ventricles, in place."""
    wide = 0.6 + 0.3 * head.sulci_mm
    _paint_cerebellum(hu, head, grid, brain)
    _paint_midbrain(hu, head, grid, wide)
    _paint_star(hu, grid, wide)
    _paint_sylvian(hu, grid, brain, wide)
    side = np.abs(grid.x)
    ridge = flat_tube(side, grid.y, (64, -28), (18, -14), 1.6) + 5 * rise(grid.z, -5, 3) * rise(side, 62, 20)
    paint(hu, inside(ridge, 2.4) * rise(grid.z, 4, -1) * inside(inner, 2), 950)


def _paint_midbrain(hu: Field, head: Head, grid: Grid, wide: float) -> None:
    """The midbrain in its cistern, with the notch between its legs in front and the aqueduct behind."""
    side, y, low = np.abs(grid.x), grid.y, rise(grid.z, 12, 5)
    cistern = ellipse(side, y, at=(0, 13), radii=(17.5 + 1.6 * wide, 14.5 + 1.8 * wide))
    paint(hu, inside(cistern, 2.2) * low * rise(y, 0, 10), CSF_HU)
    paint(hu, inside(ellipse(side, y, at=(0, 12), radii=(16.5, 13.5)), 2.2) * low, head.white_hu + 3)
    for gap in (flat_tube(side, y, (0, -2), (0, 3), 2.4), flat_tube(side, y, (0, 19.5), (0, 20.5), 0.9)):
        paint(hu, inside(gap, 2.0) * low, CSF_HU)
    plate = ellipse(side, y, at=(0, 31), radii=(12, 3.5 * wide))
    paint(hu, inside(plate, 2.0) * bump(grid.z, 10, 9), CSF_HU)


def _paint_star(hu: Field, grid: Grid, wide: float) -> None:
    """The cistern above the sella, a star whose arms lead to the fissures."""
    side, y = np.abs(grid.x), grid.y
    star = ellipse(side, y, at=(0, -8), radii=(12 * wide, 9 * wide))
    arms = (((0, -8), (1, -30), 1.6), ((6, -10), (32, -14), 1.8), ((8, -2), (17, 8), 1.8), ((0, 0), (0, 5), 3.0))
    for start, end, radius in arms:
        star = np.minimum(star, flat_tube(side, y, start, end, radius * wide))
    paint(hu, inside(star, 2.0) * rise(grid.z, 11, 5), CSF_HU)


def _paint_sylvian(hu: Field, grid: Grid, brain: Field, wide: float) -> None:
    """The Sylvian fissure: a stem outwards, and a limb around the insula."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    stem = flat_tube(side, y, (37, -14), (64, -20), 1.5 * wide)
    paint(hu, inside(stem, 1.8) * bump(z, 8, 13) * brain, CSF_HU)
    limb = np.abs(ellipse(side, y, at=(24, -2), radii=(16.5, 26), turn=-5)) - 1.1 * wide
    paint(hu, inside(limb, 1.8) * bump(z, 11, 16) * rise(side, 30, 35) * brain, CSF_HU)


def _paint_cerebellum(hu: Field, head: Head, grid: Grid, brain: Field) -> None:
    """The cerebellum with its leaves, under a tent that opens downwards."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    slope = 0.12 + 1.25 * rise(z, 15, -6)
    lobe = (side - 4 - slope * (y - 26)) / np.sqrt(1 + slope * slope) + 9 * rise(z, 11, 17)
    lobe = np.maximum(np.maximum(lobe, 27 - y), np.hypot(side * 0.9, y - 22) - 56)
    leaves = np.sin(np.float32(2 * np.pi / 4.4) * (y + 0.01 * side**2)) * rise(side, 4, 9)
    core = ellipse(side, y, at=(22, 50), radii=(13, 9), turn=25)
    paint(hu, inside(lobe, 2.0) * brain, head.grey_hu - 3 + 1.6 * leaves - 4 * inside(core, 8))
    tent = np.abs(lobe) - 0.5
    paint(hu, inside(tent, 1.3) * rise(y, 28, 34) * rise(z, 17, 13) * brain * 0.8, 62)
