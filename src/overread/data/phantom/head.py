"""A head in Hounsfield units: contrast-enhanced CT at the height of the basal cisterns and the ventricles.

Inner structures are drawn in a standard head (millimetres; skull 136 by 168 inside; z = 0 at the circle of Willis)
that is then stretched, turned, tilted and warped for each patient. `side` below is distance from the midline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.data.phantom.shapes import (
    Field,
    Furrows,
    Grid,
    Noise,
    bump,
    ellipse,
    flat_tube,
    inside,
    line_distance,
    paint,
    rise,
    tube,
)

CSF_HU, BRAIN_FAT_HU, MUSCLE_HU = 7.0, -95.0, 58.0
FIELD_MM = 222.0

Point = tuple[float, float, float]

ARTERIES: dict[str, tuple[float, tuple[Point, ...]]] = {
    # name: radius in mm, path on the left side
    "internal carotid": (2.1, ((13, -8, -12), (12, -10, 1))),
    "middle cerebral": (1.5, ((12, -10, 1), (22, -11, 3), (31, -13, 4), (38, -13, 6))),
    "insular, upper": (1.1, ((38, -13, 6), (39, -4, 12), (40, 6, 18), (45, 14, 24), (56, 19, 30))),
    "insular, front": (1.0, ((38, -13, 6), (40, -18, 12), (42, -17, 20), (52, -20, 28))),
    "anterior cerebral": (1.1, ((12, -10, 1), (6, -15, 3), (2.2, -19, 5))),
    "pericallosal": (1.0, ((2.2, -19, 5), (1.9, -34, 10), (1.8, -40, 18), (1.8, -33, 28), (1.8, -20, 34))),
    "basilar": (1.7, ((0, 1, -14), (0, -1, 0))),
    "posterior cerebral": (1.1, ((0, -1, 0), (8, 2, 1), (18, 11, 3), (19, 23, 6), (14, 36, 10), (12, 52, 16))),
    "posterior communicating": (0.6, ((12, -8, 1), (10, -2, 1), (8, 2, 1))),
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """One patient's head, without its lesion. Lengths in mm, densities in HU."""

    half_width_mm: float
    half_length_mm: float
    egg: float
    skull_mm: float
    scalp_mm: float
    ventricles: float
    sulci_mm: float
    shift_mm: tuple[float, float]
    turn_deg: float
    tilt: tuple[float, float]
    grey_hu: float
    white_hu: float
    vessel_hu: float
    calcified: bool
    arteries: tuple[tuple[float, tuple[Point, ...]], ...]
    sinus_mm: float
    harmonics: tuple[tuple[float, float], ...]
    bends: tuple[Noise, Noise]
    patches: Noise
    grain: Noise
    furrows: Furrows
    folds: Furrows


def make_head(rng: np.random.Generator) -> Head:
    """Draw one patient's anatomy."""
    age = rng.uniform(0, 1)
    noise = {"field_mm": FIELD_MM, "height_mm": 110.0}
    return Head(
        half_width_mm=rng.normal(66, 3),
        half_length_mm=rng.normal(83, 3.5),
        egg=rng.uniform(0.02, 0.11),
        skull_mm=rng.uniform(5, 8.5),
        scalp_mm=rng.uniform(3.5, 7.5),
        ventricles=0.55 + 0.75 * age * rng.uniform(0.5, 1.3),
        sulci_mm=0.5 + 1.5 * age * rng.uniform(0.5, 1.2),
        shift_mm=(rng.normal(0, 3.5), rng.normal(0, 4)),
        turn_deg=rng.normal(0, 5),
        tilt=(rng.normal(0, 0.035), rng.normal(0.02, 0.09)),
        grey_hu=rng.normal(38.5, 1.6),
        white_hu=rng.normal(29, 1.4),
        vessel_hu=rng.uniform(85, 160),
        calcified=bool(rng.uniform() < 0.6),
        arteries=_arteries(rng),
        sinus_mm=rng.uniform(4, 11),
        harmonics=tuple((rng.normal(0, 0.012 / order), rng.uniform(0, 2 * np.pi)) for order in range(1, 5)),
        bends=(Noise(rng, cell_mm=26, **noise), Noise(rng, cell_mm=26, **noise)),
        patches=Noise(rng, cell_mm=9, **noise),
        grain=Noise(rng, cell_mm=2.6, **noise),
        furrows=Furrows(rng, around=40, depth_mm=34, deep=3, height_mm=110, cell_mm=14),
        folds=Furrows(rng, around=52, depth_mm=34, deep=4, height_mm=110, cell_mm=12),
    )


@dataclass(frozen=True, kw_only=True)
class HeadSlice:
    """One slice's picture and the coordinates that lesions need."""

    hu: Field
    grid: Grid
    inner_mm: Field
    brain: Field
    white: Field


def draw_head(head: Head, grid: Grid, *, masses: Sequence[tuple[Point, float]] = ()) -> HeadSlice:
    """Draw one slice in HU without noise; `grid` is the scanner's, the result's grid the standard head's."""
    z_mm, size = float(grid.z[0, 0]), grid.x.shape[0]
    bends = tuple(bend.at(z_mm, size) for bend in head.bends)
    turned = _turned(head, grid)
    radius, turns = _polar(turned)
    wall = _wall(head, turned, turns)
    inner = radius - wall
    standard = turned.moved(
        x=turned.x * np.float32(68 / head.half_width_mm) + bends[0] * np.float32(1.4),
        y=turned.y * np.float32(84 / head.half_length_mm) + bends[1] * np.float32(1.4),
        z=turned.z,
    )
    still = standard
    for centre, radius_mm in masses:
        standard = _pushed(standard, centre, radius_mm)
    hu = np.full_like(inner, -1000)
    _paint_shell(hu, head, standard, inner, bends[0], head.grain.at(z_mm, size))
    brain = inside(inner + 1.0 + np.float32(0.35 * head.sulci_mm) * (1 + bends[1]).clip(0, 3), grid.pixel_mm * 1.3)
    white = _paint_brain(hu, head, standard, inner, brain, turns, z_mm)
    _paint_deep(hu, head, standard, brain)
    _paint_low(hu, head, standard, brain, inner)
    _paint_ventricles(hu, head, standard)
    _paint_midline(hu, head, standard, inner)
    _paint_arteries(hu, head, standard)
    return HeadSlice(hu=hu, grid=still, inner_mm=inner, brain=brain, white=white)


def _turned(head: Head, grid: Grid) -> Grid:
    cos, sin = np.cos(np.radians(head.turn_deg)), np.sin(np.radians(head.turn_deg))
    x, y = grid.x - np.float32(head.shift_mm[0]), grid.y - np.float32(head.shift_mm[1])
    u, v = x * np.float32(cos) + y * np.float32(sin), y * np.float32(cos) - x * np.float32(sin)
    z = grid.z + u * np.float32(head.tilt[0]) + v * np.float32(head.tilt[1])
    return grid.moved(x=u, y=v, z=z)


def _pushed(grid: Grid, centre: Point, radius_mm: float) -> Grid:
    """Coordinates in which what lay at `centre` has been pushed aside by a mass."""
    dx, dy, dz = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1]), grid.z - np.float32(centre[2])
    pull = np.float32(0.38) * np.exp(-(dx * dx + dy * dy + dz * dz) / np.float32((1.7 * radius_mm) ** 2))
    return grid.moved(x=grid.x - pull * dx, y=grid.y - pull * dy, z=grid.z - pull * dz)


def _polar(grid: Grid) -> tuple[Field, Field]:
    radius = np.hypot(grid.x, grid.y) + np.float32(1e-3)
    return radius, (np.arctan2(grid.x, -grid.y) / np.float32(2 * np.pi)).astype(np.float32)


def wall_mm(head: Head, turns: float, z_mm: float) -> float:
    """Radius of the inside of the skull at one direction (0 to the front, 0.25 to the left) and height."""
    point = np.full((1, 1), z_mm, np.float32)
    return float(_wall(head, Grid(x=point, y=point, z=point, pixel_mm=1.0), np.full((1, 1), turns, np.float32))[0, 0])


def to_patient(head: Head, point: Point) -> Point:
    """A point of the standard head in the scanner's millimetres (but for the warp, which is below 3 mm)."""
    u, v = point[0] * head.half_width_mm / 68, point[1] * head.half_length_mm / 84
    cos, sin = np.cos(np.radians(head.turn_deg)), np.sin(np.radians(head.turn_deg))
    z = point[2] - u * head.tilt[0] - v * head.tilt[1]
    return float(u * cos - v * sin + head.shift_mm[0]), float(u * sin + v * cos + head.shift_mm[1]), float(z)


def _wall(head: Head, grid: Grid, turns: Field) -> Field:
    """Radius of the inner table in each direction: an egg, wider at the back, smaller towards the vertex."""
    angle = turns * np.float32(2 * np.pi)
    sin, cos = np.abs(np.sin(angle)), np.cos(angle)
    width = head.half_width_mm * (1 - np.float32(head.egg) * cos)
    power = np.float32(2.25)
    wall = ((sin / width) ** power + (np.abs(cos) / head.half_length_mm) ** power) ** (-1 / power)
    for order, (size, phase) in enumerate(head.harmonics, start=2):
        wall = wall * (1 + np.float32(size) * np.cos(order * angle + np.float32(phase)))
    dome = np.sqrt(np.clip(1 - ((grid.z - 18) / 88) ** 2, 0.02, 1))
    return (wall * dome).astype(np.float32)


def _paint_shell(hu: Field, head: Head, grid: Grid, inner: Field, bend: Field, grain: Field) -> None:
    """Skin, fat, temporal muscle, and the skull: two tables with diploe between."""
    edge = grid.pixel_mm * 1.2
    side = np.abs(grid.x)
    front = rise(grid.y, -20, -70)
    skull = head.skull_mm * (1 + 0.16 * bend + 0.35 * front * rise(side, 30, 0) + 0.25 * rise(grid.y, 50, 80))
    skull = skull * (1 - 0.42 * bump(grid.y, -12, 40) * rise(side, 40, 58))
    muscle = 8 * bump(grid.y, -22, 42) ** 2 * rise(side, 40, 60) * rise(grid.z, 46, 0)
    scalp = head.scalp_mm * (1 + 0.18 * bend) + muscle
    paint(hu, inside(inner - skull - scalp, edge), 30)
    paint(hu, inside(inner - skull - scalp + 1.7, edge), BRAIN_FAT_HU + 8 * grain)
    paint(hu, inside(inner - skull - muscle, edge), MUSCLE_HU + 5 * grain)
    paint(hu, inside(inner - skull, edge), 1250 + 60 * grain)
    diploe = np.maximum(inner - skull + 1.6, 1.7 - inner)
    paint(hu, inside(diploe, edge * 1.6), 560 + 150 * grain)
    pocket = ellipse(side, grid.y, at=(9.0, -89), radii=(13, 3.2 * rise(grid.z, 14, 2)))
    frontal = np.maximum(np.maximum(pocket, inner - skull + 1.5), 1.5 - inner)
    paint(hu, inside(frontal, edge), -960 if head.sinus_mm > 6 else 700)
    paint(hu, inside(inner, edge), CSF_HU + 4)


def _paint_brain(hu: Field, head: Head, grid: Grid, inner: Field, brain: Field, turns: Field, z_mm: float) -> Field:
    """Cortex and white matter under winding sulci; gives the share of white matter."""
    patches = head.patches.at(z_mm, hu.shape[0])
    depth = np.maximum(-inner, 0)
    wound = turns + np.float32(0.006) * patches
    wander = head.furrows.at(z_mm, turns=wound, depth_mm=depth)
    radial = np.cos(np.float32(2 * np.pi * 17) * (turns + np.float32(0.010) * wander))
    main = line_distance(radial + np.float32(0.7) * wander, grid.pixel_mm)
    minor = line_distance(head.folds.at(z_mm, turns=wound, depth_mm=depth * (1 + 0.1 * patches)), grid.pixel_mm)
    deep = depth + 3 * patches
    cortex = np.minimum(depth - 4.5, main - 3.6 + 6 * rise(deep, 17, 26))
    cortex = np.minimum(cortex, minor - 2.4 + 6 * rise(deep, 7, 13))
    white = inside(-cortex, 2.2) * brain
    tissue = head.grey_hu + white * (head.white_hu - head.grey_hu) + 0.7 * patches
    paint(hu, brain, tissue)
    wide = np.float32(head.sulci_mm)
    sulcus = np.maximum(main - wide * rise(deep, 19, 4), deep - 20)
    shallow = np.maximum(minor - 0.6 * wide * rise(deep, 11, 2), deep - 12)
    share = np.maximum(inside(sulcus, 1.6), inside(shallow, 1.6)) * rise(np.float32(0) + wide, 0.0, 1.4)
    paint(hu, share * brain * 0.85, CSF_HU)
    return white


def _paint_deep(hu: Field, head: Head, grid: Grid, brain: Field) -> None:
    """Caudate, lentiform nucleus, thalamus, insula."""
    side, z = np.abs(grid.x), grid.z
    edge = 2.2
    core = ellipse(side, grid.y, at=(20, 4), radii=(26 * bump(z, 18, 26), 40 * bump(z, 18, 26)), turn=8)
    paint(hu, inside(core, 9) * brain, head.white_hu + 1)
    grey = head.grey_hu + 0.5
    nuclei = (
        ((14.5, -21), (5.5 * bump(z, 19, 17), 10 * bump(z, 19, 17)), -18),
        ((25, -3), (6.5 * bump(z, 13, 14), 17 * bump(z, 13, 14)), -14),
        ((10.5, 13), (8.5 * bump(z, 16, 13), 14 * bump(z, 16, 13)), -24),
    )
    for at, radii, turn in nuclei:
        paint(hu, inside(ellipse(side, grid.y, at=at, radii=radii, turn=turn), edge) * brain, grey)
    insula = np.abs(ellipse(side, grid.y, at=(22, -2), radii=(15.5, 26), turn=-5)) - 1.8
    near = rise(side, 27, 32) * bump(z, 11, 17)
    paint(hu, inside(insula, edge) * near * brain, grey)


def _paint_low(hu: Field, head: Head, grid: Grid, brain: Field, inner: Field) -> None:
    """Cisterns, Sylvian fissure, midbrain, cerebellum, tentorium and the sphenoid ridge."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    wide = np.float32(0.6 + 0.3 * head.sulci_mm)
    low = rise(z, 12, 5)
    _paint_cerebellum(hu, head, grid, brain)
    ambient = ellipse(side, y, at=(0, 13), radii=(17.5 + 1.6 * wide, 14.5 + 1.8 * wide))
    paint(hu, inside(ambient, 2.2) * low * rise(y, 0, 10), CSF_HU)
    paint(hu, inside(ellipse(side, y, at=(0, 12), radii=(16.5, 13.5)), 2.2) * low, head.white_hu + 3)
    notch = flat_tube(side, y, (0, -2), (0, 3), 2.4)
    paint(hu, inside(notch, 2.0) * low, CSF_HU)
    star = ellipse(side, y, at=(0, -8), radii=(12 * wide, 9 * wide))
    arms = (((0, -8), (1, -30), 1.6), ((6, -10), (32, -14), 1.8), ((8, -2), (17, 8), 1.8), ((0, 0), (0, 5), 3.0))
    for (x0, y0), (x1, y1), radius in arms:
        star = np.minimum(star, flat_tube(side, y, (x0, y0), (x1, y1), radius * wide))
    paint(hu, inside(star, 2.0) * rise(z, 11, 5), CSF_HU)
    plate = ellipse(side, y, at=(0, 31), radii=(12, 3.5 * wide))
    paint(hu, inside(plate, 2.0) * bump(z, 10, 9), CSF_HU)
    stem = flat_tube(side, y, (37, -14), (64, -20), 1.5 * wide)
    limb = np.abs(ellipse(side, y, at=(24, -2), radii=(16.5, 26), turn=-5)) - 1.1 * wide
    paint(hu, inside(stem, 1.8) * bump(z, 8, 13) * brain, CSF_HU)
    paint(hu, inside(limb, 1.8) * bump(z, 11, 16) * rise(side, 30, 35) * brain, CSF_HU)
    ridge = flat_tube(side, y, (64, -28), (18, -14), 1.6) + 5 * rise(z, -5, 3) * rise(side, 62, 20)
    paint(hu, inside(ridge, 2.4) * rise(z, 4, -1) * inside(inner, 2), 950)


def _paint_cerebellum(hu: Field, head: Head, grid: Grid, brain: Field) -> None:
    side, y, z = np.abs(grid.x), grid.y, grid.z
    slope = 0.12 + 1.25 * rise(z, 15, -6)
    lobe = (side - 4 - slope * (y - 26)) / np.sqrt(1 + slope * slope) + 9 * rise(z, 11, 17)
    lobe = np.maximum(np.maximum(lobe, 27 - y), np.hypot(side * 0.9, y - 22) - 56)
    folia = np.sin(2 * np.pi / 4.4 * (y + 0.01 * side**2)) * rise(side, 4, 9)
    core = ellipse(side, y, at=(22, 50), radii=(13, 9), turn=25)
    density = head.grey_hu - 3 + 1.6 * folia - 4 * inside(core, 8)
    paint(hu, inside(lobe, 2.0) * brain, density)
    tent = np.abs(lobe) - 0.5
    paint(hu, inside(tent, 1.3) * rise(y, 28, 34) * rise(z, 17, 13) * brain * 0.8, 62)


def _paint_ventricles(hu: Field, head: Head, grid: Grid) -> None:
    side, y, z, size = np.abs(grid.x), grid.y, grid.z, np.float32(head.ventricles)
    third = ellipse(side, y, at=(0, 6), radii=(2.4 * size * bump(z, 12, 9), 12))
    horn = ellipse(
        side, y, at=(7.5 + 2 * size, -24), radii=(4.4 * size * bump(z, 22, 13), 14 * bump(z, 22, 13)), turn=-20
    )
    body = ellipse(side, y, at=(9 + 3 * size, 2), radii=(5.5 * size * bump(z, 33, 9), 30 * bump(z, 33, 9)), turn=8)
    atrium = ellipse(side, y, at=(25, 33), radii=(6.5 * size * bump(z, 18, 11), 15 * bump(z, 18, 11)), turn=-18)
    temporal = ellipse(side, y, at=(32, 2), radii=(1.8 * size * bump(z, 1, 6), 8 * bump(z, 1, 6)), turn=14)
    hollow = np.minimum(np.minimum(np.minimum(third, horn), np.minimum(body, atrium)), temporal)
    paint(hu, inside(hollow, 1.8), CSF_HU)
    plexus = ellipse(side, y, at=(23.5, 31), radii=(1.8 * bump(z, 18, 7), 4.5 * bump(z, 18, 7)), turn=-18)
    paint(hu, inside(plexus, 1.8) * inside(hollow, 2), 230 if head.calcified else 75)
    pineal = ellipse(side, y, at=(0, 27), radii=(1.8 * bump(z, 13, 4), 2.2 * bump(z, 13, 4)))
    paint(hu, inside(pineal, 1.8), 190 if head.calcified else 55)


def _paint_midline(hu: Field, head: Head, grid: Grid, inner: Field) -> None:
    """The fissure between the hemispheres, the falx in it, and the sagittal sinus."""
    side, y, z = np.abs(grid.x), grid.y, grid.z
    wide = np.float32(0.7 + 0.7 * head.sulci_mm)
    front, back = rise(y, -30, -40), rise(y, 40, 48) * rise(z, 11, 17)
    above = rise(z, 40, 46)
    split = np.clip(front + back + above, 0, 1) * inside(inner + 1, 1.5)
    paint(hu, inside(side - wide * 0.9, 1.6) * split * 0.9, CSF_HU + 3)
    falx = np.clip(rise(y, -36, -48) + back + above, 0, 1) * inside(inner, 1.5)
    paint(hu, inside(side - 0.55, 1.6) * falx, 66)
    sinus = np.maximum(side * 1.15 - 5.2 * rise(inner, -8.5, 0), inner + 0.3)
    paint(hu, inside(sinus, 1.5) * rise(np.abs(y), 55, 65) * np.where(y > 0, 1, 0.35), head.vessel_hu * 0.9)
    straight = flat_tube(side, y, (0, 34), (0, 70), 1.6)
    paint(hu, inside(straight, 1.5) * bump(z, 15, 4), head.vessel_hu * 0.9)
    deep = ellipse(side, y, at=(1.8, 20), radii=(1.0, 1.0))
    paint(hu, inside(deep, 1.5) * bump(z, 20, 6), head.vessel_hu * 0.85)


def _arteries(rng: np.random.Generator) -> tuple[tuple[float, tuple[Point, ...]], ...]:
    """Both sides' arteries, each bent a little its own way; some branches are missing."""
    found: list[tuple[float, tuple[Point, ...]]] = []
    for radius, path in ARTERIES.values():
        for mirror in (1.0, -1.0) if path[-1][0] else (1.0,):
            bend = rng.normal(0, 1.0, (len(path), 3)) * np.minimum(np.arange(len(path)), 3)[:, None]
            bent = tuple(
                (mirror * x + dx, y + dy, z + dz) for (x, y, z), (dx, dy, dz) in zip(path, bend, strict=True)
            )
            if rng.uniform() > 0.06:
                found.append((radius * rng.uniform(0.8, 1.2), bent))
    return tuple(found)


def _paint_arteries(hu: Field, head: Head, grid: Grid) -> None:
    for radius, path in head.arteries:
        for start, end in zip(path, path[1:], strict=False):
            near = tube(grid, start, end, radius)
            if near is not None:
                paint(hu[near[0]], inside(near[1], 1.4), head.vessel_hu)
