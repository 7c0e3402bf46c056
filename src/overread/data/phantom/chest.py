"""A chest in Hounsfield units, between the aortic arch and the dome of the liver.

Organs are drawn in a standard chest (millimetres; 280 by 190 inside the ribs; z = 0 at the carina, x to the
patient's left, y to the back) that is then stretched, turned, shifted and warped for each patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from overread.data.phantom.lung_vessels import Tree, grow_trees, paint_trees
from overread.data.phantom.shapes import (
    Field,
    Grid,
    Noise,
    bump,
    ellipse,
    flat_tube,
    inside,
    paint,
    rise,
    slice_grid,
    tube,
)

FAT_HU, MUSCLE_HU, AIR_HU = -100.0, 55.0, -985.0
FIELD_MM = 378.0

Point = tuple[float, float, float]


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
    shift_mm: tuple[float, float]
    turn_deg: float
    bends: tuple[Noise, Noise]
    patches: Noise
    grain: Noise
    trees: tuple[Tree, ...]


def make_chest(rng: np.random.Generator) -> Chest:
    """Draw one patient's anatomy."""
    noise = {"field_mm": FIELD_MM * 1.1, "height_mm": 170.0}
    half_width, half_depth = rng.normal(136, 7), rng.normal(93, 6)
    shift, turn = (rng.normal(0, 6), rng.normal(-4, 6)), rng.normal(0, 3)
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
        shift_mm=shift,
        turn_deg=turn,
        bends=(Noise(rng, cell_mm=65, **noise), Noise(rng, cell_mm=65, **noise)),
        patches=Noise(rng, cell_mm=15, **noise),
        grain=Noise(rng, cell_mm=4.5, **noise),
        trees=grow_trees(rng, stretch=(half_width / 140, half_depth / 95), shift_mm=shift, turn_deg=turn),
    )


@dataclass(frozen=True, kw_only=True)
class ChestSlice:
    """One slice's picture and what lesions need: coordinates, and the signed distance to the lungs' edge."""

    hu: Field
    grid: Grid
    lung_mm: Field
    grain: Field


def draw_chest(chest: Chest, grid: Grid, *, lesions: Callable[[ChestSlice], None] | None = None) -> ChestSlice:
    """Draw one slice in HU without noise; `lesions` paints into the lungs before the vessels are drawn."""
    z_mm, size = float(grid.z[0, 0]), grid.x.shape[0]
    bends = tuple(bend.at(z_mm, size) for bend in chest.bends)
    standard = standard_grid(chest, grid, bends)
    ring, turns = _ring(chest, grid, bends)
    hu = np.full_like(ring, -1000)
    grain = chest.grain.at(z_mm, size)
    _paint_wall(hu, chest, standard, ring, turns, bends[0], grain)
    _paint_ribs(hu, chest, standard, ring, turns)
    lung_mm = lung_distance(chest, standard, ring)
    paint(hu, inside(ring, grid.pixel_mm * 1.2), FAT_HU + 8 * grain)
    _paint_middle(hu, chest, standard)
    _paint_spine(hu, standard, grain)
    picture = ChestSlice(hu=hu, grid=standard, lung_mm=lung_mm, grain=grain)
    _paint_lungs(picture, chest, chest.patches.at(z_mm, size))
    if lesions is not None:
        lesions(picture)
    paint_trees(hu, chest.trees, grid, within=inside(lung_mm, grid.pixel_mm), blood_hu=max(chest.blood_hu, 60))
    _paint_airways(hu, standard, inside(-np.minimum(*_domes(chest, standard)), 2))
    return picture


def standard_grid(chest: Chest, grid: Grid, bends: tuple[Field, ...] | None = None) -> Grid:
    """The slice's pixels in the standard chest's millimetres."""
    turned = _turned(chest, grid)
    x, y = turned.x * np.float32(140 / chest.half_width_mm), turned.y * np.float32(95 / chest.half_depth_mm)
    if bends is not None:
        x, y = x + np.float32(2.2) * bends[0], y + np.float32(2.2) * bends[1]
    return turned.moved(x=x, y=y, z=turned.z)


def to_patient(chest: Chest, point: Point) -> Point:
    """A point of the standard chest in the scanner's millimetres (but for the warp, which is below 5 mm)."""
    u, v = point[0] * chest.half_width_mm / 140, point[1] * chest.half_depth_mm / 95
    cos, sin = np.cos(np.radians(chest.turn_deg)), np.sin(np.radians(chest.turn_deg))
    return float(u * cos - v * sin + chest.shift_mm[0]), float(u * sin + v * cos + chest.shift_mm[1]), point[2]


def _turned(chest: Chest, grid: Grid) -> Grid:
    cos, sin = np.float32(np.cos(np.radians(chest.turn_deg))), np.float32(np.sin(np.radians(chest.turn_deg)))
    x, y = grid.x - np.float32(chest.shift_mm[0]), grid.y - np.float32(chest.shift_mm[1])
    return grid.moved(x=x * cos + y * sin, y=y * cos - x * sin, z=grid.z)


def _ring(chest: Chest, grid: Grid, bends: tuple[Field, ...]) -> tuple[Field, Field]:
    """Signed distance to the inside of the ribs, and the angle from the back: 0 behind, 1 in front."""
    turned = _turned(chest, grid)
    radius = np.hypot(turned.x, turned.y) + np.float32(1e-3)
    sin, cos = np.abs(turned.x) / radius, turned.y / radius
    narrow = 1 - 0.20 * rise(grid.z, -30, 75)
    width = chest.half_width_mm * narrow
    depth = chest.half_depth_mm * (1 - 0.12 * rise(grid.z, -20, 80)) * np.where(cos > 0, 1.0, 0.95)
    power = np.float32(2.5)
    wall = ((sin / width) ** power + (np.abs(cos) / depth) ** power) ** (-1 / power)
    wall = wall * (1 + 0.012 * bends[1]) - 7 * rise(np.abs(cos), 0.955, 1)
    turns = np.arctan2(sin, cos) / np.float32(np.pi)
    return (radius - wall).astype(np.float32), turns.astype(np.float32)


def lung_distance(chest: Chest, grid: Grid, ring: Field) -> Field:
    """Signed distance to the lungs: within the ribs, outside of mediastinum, heart, spine and liver."""
    x, y, z = grid.x, grid.y, grid.z
    solid = ellipse(x, y, at=(3, 4), radii=(31 - 4 * rise(z, 0, 40), 52))
    size = chest.heart * bump(z, -52, 64)
    solid = np.minimum(solid, ellipse(x, y, at=(24, -20), radii=(62 * size, 47 * size), turn=28))
    solid = np.minimum(solid, ellipse(x, y, at=(-14, -8), radii=(42 * size, 44 * size)))
    solid = np.minimum(solid, flat_tube(x, y, (2, -95), (2, 0), 5.0))
    solid = np.minimum(solid, ellipse(x, y, at=(0, 74), radii=(27, 22)))
    solid = np.minimum(solid, ellipse(x, y, at=(25, 53), radii=(chest.aorta_mm + 2,) * 2))
    hilum = ellipse(np.abs(x), y, at=(34, 10), radii=(17 * bump(z, -12, 24), 15 * bump(z, -12, 24)))
    solid = np.minimum(np.minimum(solid, hilum), np.minimum(*_domes(chest, grid)))
    return np.maximum(ring + 1.5, 1.2 - solid)


def _domes(chest: Chest, grid: Grid) -> tuple[Field, Field]:
    """Liver under the right diaphragm; stomach and spleen under the left, lower."""
    right, left = (
        rise(grid.z, chest.liver_mm, chest.liver_mm - 55),
        rise(grid.z, chest.liver_mm - 16, chest.liver_mm - 80),
    )
    return (
        ellipse(grid.x, grid.y, at=(-68, 2), radii=(72 * np.sqrt(right), 80 * np.sqrt(right))),
        ellipse(grid.x, grid.y, at=(76, 8), radii=(62 * np.sqrt(left), 72 * np.sqrt(left))),
    )


def _paint_wall(hu: Field, chest: Chest, grid: Grid, ring: Field, turns: Field, bend: Field, grain: Field) -> None:
    """Skin, fat, and the muscles around the ribs."""
    side, edge = np.abs(grid.x), grid.pixel_mm * 1.2
    breast = chest.breast_mm * bump(side, 70, 66) ** 2 * rise(turns, 0.5, 0.75) * bump(grid.z, -25, 70)
    thick = 12 + 1.1 * chest.muscle_mm + chest.fat_mm * (0.75 + 0.35 * rise(turns, 0.3, 0.8)) + 1.2 * bend
    thick = thick + 13 * rise(turns, 0.42, 0.16) + breast
    chest_muscle = 13 * bump(side, 62, 52) * rise(turns, 0.6, 0.75) * rise(grid.z, -25, 10)
    back_muscle = 24 * bump(side, 30, 32) * rise(turns, 0.3, 0.12)
    flank_muscle = 14 * bump(turns, 0.42, 0.24) * rise(grid.z, -70, -10)
    muscle = 11 + chest.muscle_mm * (0.75 + 0.12 * bend) + chest_muscle + back_muscle + flank_muscle
    muscle = np.minimum(muscle, thick - 3 - 0.25 * chest.fat_mm)
    fat = thick - muscle
    paint(hu, inside(ring - muscle - fat, edge), 25)
    paint(hu, inside(ring - muscle - fat + 2.4, edge), FAT_HU + 7 * grain)
    gland = inside(ring - muscle - 0.6 * fat, 8) * rise(breast, 6, 14) * rise(0.5 * grain + bend, 0.1, 1.2)
    paint(hu, gland * 0.7, 25)
    paint(hu, inside(ring - muscle, edge), MUSCLE_HU + 4 * grain)
    seam = np.abs(ring - 11 - 0.5 * (muscle - 11)) - 0.8
    paint(hu, inside(seam, 2.4) * rise(muscle, 19, 26) * 0.9, FAT_HU)
    outer = np.abs(ring - 10.5) - 0.7
    paint(hu, inside(outer, 2.2) * 0.6, FAT_HU)


def _paint_ribs(hu: Field, chest: Chest, grid: Grid, ring: Field, turns: Field) -> None:
    """Ribs slope down towards the front, so each slice cuts several of them obliquely; and the sternum."""
    edge = grid.pixel_mm * 1.2
    drop = 82 * turns**0.9 + 3 * np.sign(grid.x)
    place = (grid.z + drop + np.float32(chest.rib_offset_mm)) / 25
    height = 25 * (place - np.floor(place) - np.float32(0.5))
    rib = (np.sqrt((height / 6.8) ** 2 + ((ring - 5) / 4.0) ** 2) - 1) * 4.0
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


def _paint_spine(hu: Field, grid: Grid, grain: Field) -> None:
    side, y, z = np.abs(grid.x), grid.y, grid.z
    edge = grid.pixel_mm * 1.2
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


def _paint_middle(hu: Field, chest: Chest, grid: Grid) -> None:
    """Heart and great vessels, in the fat of the mediastinum; liver and spleen under the diaphragm."""
    x, y, z, blood = grid.x, grid.y, grid.z, chest.blood_hu
    edge = grid.pixel_mm * 1.4
    right, left = _domes(chest, grid)
    paint(hu, inside(left, edge), 50 + 0.25 * blood)
    paint(hu, inside(right, edge), 55 + 0.22 * blood)
    size = chest.heart * bump(z, -54, 58)
    heart = np.minimum(
        ellipse(x, y, at=(24, -20), radii=(57 * size, 42 * size), turn=28),
        ellipse(x, y, at=(-14, -8), radii=(36 * size, 38 * size)),
    )
    paint(hu, inside(heart, edge), 62 + 0.15 * (blood - 42))
    chambers = (
        ((44, -10), (25, 13), 34, blood),
        ((8, -38), (30, 14), 18, 0.9 * blood),
        ((-26, -8), (16, 22), 0, 0.85 * blood),
        ((8, 15), (25, 13), 5, blood),
    )
    for at, (rx, ry), turn, hu_ in chambers:
        room = ellipse(x, y, at=at, radii=(rx * size, ry * size), turn=turn)
        paint(hu, inside(np.maximum(room, heart + 3), 3.0), max(hu_, 40))
    big = chest.aorta_mm
    above, root = rise(z, -34, -26), bump(z, -4, 26)
    vessels = (
        ((-13, -26), (big + 4, big + 4), above * rise(z, 52, 44), blood),
        ((14, -30), (13.5, 12), bump(z, -6, 26), 0.95 * blood),
        ((-29, -18), (8.5, 10), above, 0.9 * blood),
        ((25, 53), (big, big), rise(z, 48, 40), blood),
        ((-8, 57), (3.6, 3.6), 1.0, 0.8 * blood),
        ((-26, 2), (12, 10), rise(z, -72, -80), 0.8 * blood),
    )
    for at, (rx, ry), share, hu_ in vessels:
        paint(hu, inside(ellipse(x, y, at=at, radii=(rx, ry)), edge) * np.sqrt(share), max(hu_, 40))
    arch = flat_tube(x, y, (-10, -18), (24, 46), big - 0.5)
    paint(hu, inside(arch, edge) * bump(z, 42, 9), blood)
    for start, end in (((14, -28, -4), (6, -10, -6)), ((6, -8, -6), (-42, 8, -8)), ((16, -22, -2), (40, 14, 0))):
        near = tube(grid, start, end, 8.5)
        if near is not None:
            paint(hu[near[0]], inside(near[1], edge) * root[near[0]], 0.95 * blood)
    gullet = ellipse(x, y, at=(7, 41), radii=(8, 5.5))
    paint(hu, inside(gullet, edge), 40)
    paint(hu, inside(gullet + 4.2, edge), -400)


def _paint_lungs(picture: ChestSlice, chest: Chest, patches: Field) -> None:
    """Air cells, denser towards the back; fissures; collapse at the back and emphysema in some patients."""
    y, z, grain = picture.grid.y, picture.grid.z, picture.grain
    density = chest.lung_hu + chest.slope_hu * y / 90 + 10 * patches + 14 * grain
    behind = rise(-picture.lung_mm + 4 * patches, 16, 2) * rise(y, 30, 75)
    density = density + chest.atelectasis * 420 * behind * (0.6 + 0.25 * patches).clip(0, 1)
    bullae = rise(patches + 0.5 * grain, 0.5, 1.9) * chest.emphysema
    density = density + bullae * (-965 - density)
    bent = y - 12 - 0.9 * z * 0.6 - 0.0022 * (np.abs(picture.grid.x) - 80) ** 2 + 2.5 * patches
    fissure = np.abs(bent) - 0.25
    density = density + 170 * inside(fissure, 1.8) * rise(-picture.lung_mm, 0, 4)
    paint(picture.hu, inside(picture.lung_mm, picture.grid.pixel_mm * 1.3), density)


def _paint_airways(hu: Field, grid: Grid, above: Field) -> None:
    """Windpipe and main bronchi: a thin wall around air."""
    tubes: list[tuple[Point, Point, float]] = [((0, 14, 0), (0, 12, 90), 8.6)]
    for mirror in (1.0, -1.0):
        low = -26 if mirror > 0 else -18
        tubes.append(((0, 15, 0), (mirror * 34, 16, low), 6.2))
        tubes.append(((mirror * 34, 16, low), (mirror * 47, 26, low - 32), 4.0))
        tubes.append(((mirror * 34, 16, low), (mirror * 52, 4, low + 6), 3.2))
    for wall, density in ((1.5, 30.0), (0.0, AIR_HU)):
        for start, end, radius in tubes:
            near = tube(grid, start, end, radius + wall)
            if near is not None:
                paint(hu[near[0]], inside(near[1], grid.pixel_mm * 1.2) * above[near[0]], density)


def lungs_at(chest: Chest, z_mm: float) -> tuple[Grid, Field]:
    """The lungs' signed distance on a coarse grid (96 x 96) of the standard chest: where a lesion can be."""
    grid = slice_grid(size_px=96, pixel_mm=FIELD_MM / 96, z_mm=z_mm)
    bends = tuple(bend.at(z_mm, 96) for bend in chest.bends)
    standard = standard_grid(chest, grid, bends)
    ring, _ = _ring(chest, grid, bends)
    return standard, lung_distance(chest, standard, ring)
