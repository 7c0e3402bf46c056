"""The diseases of the phantom chest: nodule and pneumonia; a normal chest has none.

Collapse at the back of the lung, emphysema, density and contrast vary in all three classes alike, so that the
brightness of the lungs does not tell the class.
"""

from __future__ import annotations

import numpy as np

from overread.data.phantom.chest import FIELD_MM, Chest, behind_fissure, lungs_at
from overread.data.phantom.chest_slice import ChestSlice
from overread.data.phantom.lesions import Lesion, make_lesion
from overread.data.phantom.shapes import Field, Point, inside, paint, rise

HEIGHTS_MM = (-55.0, 30.0)


def make_chest_lesions(rng: np.random.Generator, chest: Chest, kind: str) -> tuple[tuple[Lesion, ...], float]:
    """The lesions of one patient (the first is the main one), and the height that its slices are taken at."""
    z = float(rng.uniform(*HEIGHTS_MM))
    if kind == "normal":
        return (), z
    if kind == "nodule":
        return (_nodule(rng, chest, z),), z
    patches = [_pneumonia(rng, chest, z, first=True)]
    if rng.uniform() < 0.3:
        patches.append(_pneumonia(rng, chest, z + rng.normal(0, 6), first=False))
    return tuple(patches), z


def draw_chest_lesion(lesion: Lesion, picture: ChestSlice) -> Field:
    """Draw one lesion into a slice, in place; gives the share of each pixel that is lesion."""
    return _draw_nodule(lesion, picture) if lesion.kind == "nodule" else _draw_pneumonia(lesion, picture)


def _place(rng: np.random.Generator, chest: Chest, z: float, *, depth_mm: float) -> Point:
    """A random point of the lungs at height z, at least `depth_mm` from their edge where they are so wide."""
    grid, lung_mm = lungs_at(chest, z)
    rows, columns = np.nonzero(lung_mm < min(-depth_mm, float(lung_mm.min()) * 0.6))
    chosen = rng.integers(len(rows))
    row, column = rows[chosen], columns[chosen]
    return float(grid.x[row, column]), float(grid.y[row, column]), z


def _nodule(rng: np.random.Generator, chest: Chest, z: float) -> Lesion:
    radius = float(rng.uniform(9, 17))
    return make_lesion(
        rng,
        kind="nodule",
        centre=_place(rng, chest, z, depth_mm=radius * rng.uniform(0.4, 1.2)),
        radius_mm=radius,
        field_mm=FIELD_MM,
        rough=0.10,
        hu=rng.uniform(-10, 70),
        halo_mm=rng.uniform(2, 6) if rng.uniform() < 0.4 else 0.0,
    )


def _pneumonia(rng: np.random.Generator, chest: Chest, z: float, *, first: bool) -> Lesion:
    """A patch that mostly lies against the edge of the lung; half of them dense, half like ground glass."""
    radius = float(rng.uniform(22, 38) if first else rng.uniform(10, 18))
    return make_lesion(
        rng,
        kind="pneumonia",
        centre=_place(rng, chest, z, depth_mm=rng.uniform(0.05, 0.5) * radius),
        radius_mm=radius,
        field_mm=FIELD_MM,
        rough=0.22,
        hu=rng.uniform(-40, 40) if rng.uniform() < 0.5 else rng.uniform(-520, -260),
        uneven=0.3,
    )


def _draw_nodule(lesion: Lesion, picture: ChestSlice) -> Field:
    """A round density, some with spikes and some with a fainter rim."""
    grid = picture.grid
    within = inside(picture.lung_mm, 2)
    distance = lesion.distance(grid)
    if lesion.variant < 0.5:
        angle = np.arctan2(grid.y - np.float32(lesion.centre[1]), grid.x - np.float32(lesion.centre[0]))
        spikes = np.abs(np.sin(np.float32(4.5) * angle + np.float32(20 * lesion.variant))) ** 6
        ray = rise(distance, 0.6 * lesion.radius_mm, 0) * inside(-distance, 2) * spikes
        paint(picture.hu, 0.6 * ray * within, -250)
    if lesion.halo_mm:
        paint(picture.hu, 0.5 * inside(distance - lesion.halo_mm, 3) * within, -480)
    share = inside(distance, 2.0) * within
    paint(picture.hu, share, lesion.hu)
    return share


def _draw_pneumonia(lesion: Lesion, picture: ChestSlice) -> Field:
    """A patch of filled air cells with a ragged edge, that some fissures stop.

    The vessels and bronchi are drawn after it: air stands out in the bronchi that run through it.
    """
    uneven = lesion.texture.at(picture.grid.z_mm + 20, picture.hu.shape[0])
    distance = lesion.distance(picture.grid) + 1.5 * picture.grain
    share = inside(distance, 0.35 * lesion.radius_mm) * inside(picture.lung_mm, 2)
    if lesion.variant < 0.6:
        lobe = -1.0 if behind_fissure(*lesion.centre) > 0 else 1.0
        share = share * inside(lobe * picture.fissure_mm, 2)
    ragged = share * np.clip(0.88 + 0.16 * uneven + 0.10 * picture.grain, 0.1, 1)
    paint(picture.hu, ragged, lesion.hu + 20 * uneven + 20 * picture.grain)
    return share
