"""A phantom chest: its proportions, the coordinates that it is drawn in, and the edges of its lungs.

Organs are drawn in a standard chest (millimetres; 280 by 190 inside the ribs; z = 0 at the carina, x to the
patient's left, y to the back) that is then stretched, turned, shifted and warped for each patient.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from overread.data.phantom.lung_vessels import Tree, grow_trees
from overread.data.phantom.noise import Noise
from overread.data.phantom.shapes import Field, Grid, Point, Pose, bump, ellipse, flat_tube, rise, slice_grid

FIELD_MM = 378.0
_STANDARD_MM = (140.0, 95.0)

_Number = TypeVar("_Number", float, Field)


@dataclass(frozen=True, kw_only=True)
class Chest:
    """One patient's chest, without its lesion. Lengths in mm, densities in HU."""

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    muscle_mm: float
    breast_mm: float
    lung_hu: float
    slope_hu: float
    blood_hu: float
    heart: float
    liver_mm: float
    aorta_mm: float
    rib_offset_mm: float
    atelectasis: float
    emphysema: float
    pose: Pose
    bends: tuple[Noise, Noise]
    patches: Noise
    grain: Noise
    trees: tuple[Tree, ...]


def make_chest(rng: np.random.Generator) -> Chest:
    """Draw one patient's anatomy."""
    field = functools.partial(Noise, rng, field_mm=FIELD_MM * 1.1, height_mm=170.0)
    half_width, half_depth = rng.normal(136, 7), rng.normal(93, 6)
    pose = Pose(shift_mm=(rng.normal(0, 6), rng.normal(-4, 6)), turn_deg=rng.normal(0, 3))
    return Chest(
        half_width_mm=half_width,
        half_depth_mm=half_depth,
        fat_mm=rng.uniform(5, 24),
        muscle_mm=rng.uniform(4, 10),
        breast_mm=rng.uniform(10, 24) if rng.uniform() < 0.45 else 0.0,
        lung_hu=rng.uniform(-880, -790),
        slope_hu=rng.uniform(15, 70),
        blood_hu=rng.uniform(110, 230) if rng.uniform() < 0.6 else 42.0,
        heart=rng.uniform(0.86, 1.14),
        liver_mm=rng.normal(-48, 12),
        aorta_mm=rng.uniform(10.5, 14.5),
        rib_offset_mm=rng.uniform(0, 24),
        atelectasis=rng.uniform(0.3, 1.0) if rng.uniform() < 0.4 else 0.0,
        emphysema=rng.uniform(0.3, 1.0) if rng.uniform() < 0.25 else 0.0,
        pose=pose,
        bends=(field(cell_mm=65), field(cell_mm=65)),
        patches=field(cell_mm=15),
        grain=field(cell_mm=4.5),
        trees=grow_trees(rng, stretch=(half_width / _STANDARD_MM[0], half_depth / _STANDARD_MM[1]), pose=pose),
    )


def standard_grid(chest: Chest, grid: Grid, bends: tuple[Field, ...]) -> Grid:
    """The slice's pixels in the standard chest's millimetres."""
    body = chest.pose.to_body(grid)
    return body.moved(
        x=body.x * np.float32(_STANDARD_MM[0] / chest.half_width_mm) + np.float32(2.2) * bends[0],
        y=body.y * np.float32(_STANDARD_MM[1] / chest.half_depth_mm) + np.float32(2.2) * bends[1],
        z=body.z,
    )


def to_patient(chest: Chest, point: Point) -> Point:
    """A point of the standard chest in the scanner's millimetres (but for the warp, which is below 7 mm)."""
    x, y = point[0] * chest.half_width_mm / _STANDARD_MM[0], point[1] * chest.half_depth_mm / _STANDARD_MM[1]
    return *chest.pose.to_scanner(x, y), point[2]


def ring_distance(chest: Chest, grid: Grid, bends: tuple[Field, ...]) -> tuple[Field, Field]:
    """Signed distance to the inside of the ribs, and the angle: 0 behind, 1 in front."""
    turned = chest.pose.to_body(grid)
    radius = np.hypot(turned.x, turned.y) + np.float32(1e-3)
    sin, cos = np.abs(turned.x) / radius, turned.y / radius
    narrow = 1 - 0.20 * rise(grid.z, -30, 75)
    width = chest.half_width_mm * narrow
    depth = (
        chest.half_depth_mm * (1 - 0.12 * rise(grid.z, -20, 80)) * np.where(cos > 0, np.float32(1), np.float32(0.95))
    )
    power = 2.5
    wall = ((sin / width) ** power + (np.abs(cos) / depth) ** power) ** (-1 / power)
    wall = wall * (1 + 0.012 * bends[1]) - 7 * rise(np.abs(cos), 0.955, 1)
    turns = np.arctan2(sin, cos) / np.float32(np.pi)
    return (radius - wall).astype(np.float32), turns.astype(np.float32)


def lung_distance(chest: Chest, grid: Grid, ring: Field) -> Field:
    """Signed distance to the lungs: within the ribs, outside of mediastinum, heart, spine and liver."""
    x, y, z = grid.x, grid.y, grid.z
    heart, hilum = chest.heart * bump(z, -52, 64), bump(z, -12, 24)
    septum = flat_tube(x, y, (2, -95), (2, 0), 1.4) - 9 * rise(y, -58, -96) - 4 * rise(z, 10, -40)
    solids = (
        ellipse(x, y, at=(3, 4), radii=(31 - 4 * rise(z, 0, 40), 52)),
        ellipse(x, y, at=(24, -20), radii=(62 * heart, 47 * heart), turn=28),
        ellipse(x, y, at=(-14, -8), radii=(42 * heart, 44 * heart)),
        septum,
        ellipse(x, y, at=(0, 74), radii=(27, 22)),
        ellipse(x, y, at=(25, 53), radii=(chest.aorta_mm + 2,) * 2),
        ellipse(np.abs(x), y, at=(34, 10), radii=(17 * hilum, 15 * hilum)),
        *diaphragm(chest, grid),
    )
    distance: Field = np.maximum(ring + 1.5, 1.2 - functools.reduce(np.minimum, solids))
    return distance


def behind_fissure(x: _Number, y: _Number, z: _Number) -> _Number:
    """How far in mm a place is behind the oblique fissure, which bows and lies further back the higher it is."""
    behind: _Number = y - 12 - 0.54 * z - 0.0022 * (abs(x) - 80) ** 2
    return behind


def diaphragm(chest: Chest, grid: Grid) -> tuple[Field, Field]:
    """Signed distances to the liver under the right diaphragm, and to stomach and spleen under the left, lower."""
    right = np.sqrt(rise(grid.z, chest.liver_mm, chest.liver_mm - 55))
    left = np.sqrt(rise(grid.z, chest.liver_mm - 16, chest.liver_mm - 80))
    return (
        ellipse(grid.x, grid.y, at=(-68, 2), radii=(72 * right, 80 * right)),
        ellipse(grid.x, grid.y, at=(76, 8), radii=(62 * left, 72 * left)),
    )


def lungs_at(chest: Chest, z_mm: float) -> tuple[Grid, Field]:
    """The lungs' signed distance on a coarse grid (96 x 96) of the standard chest: where a lesion can be."""
    grid = slice_grid(size_px=96, pixel_mm=FIELD_MM / 96, z_mm=z_mm)
    bends = tuple(bend.at(z_mm, 96) for bend in chest.bends)
    standard = standard_grid(chest, grid, bends)
    ring, _ = ring_distance(chest, grid, bends)
    return standard, lung_distance(chest, standard, ring)
