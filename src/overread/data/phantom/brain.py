"""The hemispheres: cortex under its furrows, white matter, the deep nuclei, the ventricles and the midline.

`side` is the distance from the midline, in the standard head's mm.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from overread.data.phantom.head import Head
from overread.data.phantom.shapes import Field, Grid, bump, ellipse, flat_tube, inside, line_distance, paint, rise

CSF_HU = 7.0


def paint_brain(hu: Field, head: Head, grid: Grid, inner: Field, brain: Field, turns: Field) -> Field:
    """Cortex and white matter under winding sulci; gives the share of white matter."""
    patches = head.patches.at(grid.z_mm, hu.shape[0])
    depth = np.maximum(-inner, 0)
    wound = turns + np.float32(0.006) * patches
    wander = head.furrows.at(grid.z_mm, turns=wound, depth_mm=depth)
    radial = np.cos(np.float32(2 * np.pi * 17) * (turns + np.float32(0.010) * wander))
    main = line_distance(radial + np.float32(0.7) * wander, grid.pixel_mm)
    folds = head.folds.at(grid.z_mm, turns=wound, depth_mm=depth * (1 + 0.1 * patches))
    minor = line_distance(folds, grid.pixel_mm)
    deep = depth + 3 * patches
    cortex = np.minimum(depth - 4.5, main - 3.6 + 6 * rise(deep, 17, 26))
    cortex = np.minimum(cortex, minor - 2.4 + 6 * rise(deep, 7, 13))
    white = inside(-cortex, 2.2) * brain
    paint(hu, brain, head.grey_hu + white * (head.white_hu - head.grey_hu) + 0.7 * patches)
    wide = head.sulci_mm
    sulcus = np.maximum(main - wide * rise(deep, 19, 4), deep - 20)
    shallow = np.maximum(minor - 0.6 * wide * rise(deep, 11, 2), deep - 12)
    fluid = np.maximum(inside(sulcus, 1.6), inside(shallow, 1.6)) * min(wide / 1.2, 1.0)
    paint(hu, fluid * brain * 0.85, CSF_HU)
    return white


def paint_nuclei(hu: Field, head: Head, grid: Grid, brain: Field) -> None:
    """Caudate, lentiform nucleus, thalamus, and the cortex of the insula, in white matter."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    core = ellipse(side, y, at=(20, 4), radii=(26 * bump(z, 18, 26), 40 * bump(z, 18, 26)), turn=8)
    paint(hu, inside(core, 9) * brain, head.white_hu + 1)
    caudate, lentiform, thalamus = bump(z, 19, 17), bump(z, 13, 14), bump(z, 16, 13)
    nuclei = (
        ellipse(side, y, at=(14.5, -21), radii=(5.5 * caudate, 10 * caudate), turn=-18),
        ellipse(side, y, at=(25, -3), radii=(6.5 * lentiform, 17 * lentiform), turn=-14),
        ellipse(side, y, at=(10.5, 13), radii=(8.5 * thalamus, 14 * thalamus), turn=-24),
    )
    for nucleus in nuclei:
        paint(hu, inside(nucleus, 2.2) * brain, head.grey_hu + 0.5)
    insula = np.abs(ellipse(side, y, at=(22, -2), radii=(15.5, 26), turn=-5)) - 1.8
    near = rise(side, 27, 32) * bump(z, 11, 17)
    paint(hu, inside(insula, 2.2) * near * brain, head.grey_hu + 0.5)


def paint_ventricles(hu: Field, head: Head, grid: Grid) -> None:
    """The third and the lateral ventricles, with their plexus, and the pineal gland behind them."""
    side, y, z, size = np.abs(grid.x), grid.y, grid.z, head.ventricles
    third, low, high, middle, tip = bump(z, 12, 9), bump(z, 22, 13), bump(z, 33, 9), bump(z, 18, 11), bump(z, 1, 6)
    hollows = (
        ellipse(side, y, at=(0, 6), radii=(2.4 * size * third, 12)),
        ellipse(side, y, at=(7.5 + 2 * size, -24), radii=(4.4 * size * low, 14 * low), turn=-20),
        ellipse(side, y, at=(9 + 3 * size, 2), radii=(5.5 * size * high, 30 * high), turn=8),
        ellipse(side, y, at=(25, 33), radii=(6.5 * size * middle, 15 * middle), turn=-18),
        ellipse(side, y, at=(32, 2), radii=(1.8 * size * tip, 8 * tip), turn=14),
    )
    hollow = reduce(np.minimum, hollows)
    # In the old the white matter around the ventricles is often darker, whatever else they have.
    hu -= head.lucency_hu * inside(hollow - 7, 9)
    paint(hu, inside(hollow, 1.8), CSF_HU)
    plexus = ellipse(side, y, at=(23.5, 31), radii=(1.8 * bump(z, 18, 7), 4.5 * bump(z, 18, 7)), turn=-18)
    paint(hu, inside(plexus, 1.8) * inside(hollow, 2), 230 if head.calcified else 75)
    pineal = ellipse(side, y, at=(0, 27), radii=(1.8 * bump(z, 13, 4), 2.2 * bump(z, 13, 4)))
    paint(hu, inside(pineal, 1.8), 190 if head.calcified else 55)


def paint_midline(hu: Field, head: Head, grid: Grid, inner: Field) -> None:
    """The fissure between the hemispheres, the falx in it, and the veins at its edges."""
    side, y, z, blood = np.abs(grid.x), grid.y, grid.z, head.vessel_hu
    wide = 0.7 + 0.7 * head.sulci_mm
    back, above = rise(y, 40, 48) * rise(z, 11, 17), rise(z, 40, 46)
    split = np.clip(rise(y, -30, -40) + back + above, 0, 1) * inside(inner + 1, 1.5)
    paint(hu, inside(side - 0.9 * wide, 1.6) * split * 0.9, CSF_HU + 3)
    falx = np.clip(rise(y, -36, -48) + back + above, 0, 1) * inside(inner, 1.5)
    paint(hu, inside(side - 0.55, 1.6) * falx, 66)
    sinus = np.maximum(side * 1.15 - 5.2 * rise(inner, -8.5, 0), inner + 0.3)
    at_back = np.where(y > 0, np.float32(1), np.float32(0.35))
    paint(hu, inside(sinus, 1.5) * rise(np.abs(y), 55, 65) * at_back, blood * 0.9)
    straight = flat_tube(side, y, (0, 34), (0, 70), 1.6)
    paint(hu, inside(straight, 1.5) * bump(z, 15, 4), blood * 0.9)
    deep = ellipse(side, y, at=(1.8, 20), radii=(1.0, 1.0))
    paint(hu, inside(deep, 1.5) * bump(z, 20, 6), blood * 0.85)
