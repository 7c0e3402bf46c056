"""A phantom head: its proportions, and the coordinates that it is drawn in.

Inner structures are drawn in a standard head (millimetres; skull 136 by 168 inside; z = 0 at the circle of Willis)
that is then stretched, turned, tilted and warped for each patient.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from overread.data.phantom.head_arteries import Artery, make_arteries
from overread.data.phantom.noise import Furrows, Noise
from overread.data.phantom.shapes import Field, Grid, Point, Pose

FIELD_MM = 222.0
_STANDARD_MM = (68.0, 84.0)


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
    pose: Pose
    tilt: tuple[float, float]
    grey_hu: float
    white_hu: float
    vessel_hu: float
    lucency_hu: float
    calcified: bool
    arteries: tuple[Artery, ...]
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
    field = functools.partial(Noise, rng, field_mm=FIELD_MM, height_mm=110.0)
    return Head(
        half_width_mm=rng.normal(66, 3),
        half_length_mm=rng.normal(83, 3.5),
        egg=rng.uniform(0.02, 0.11),
        skull_mm=rng.uniform(5, 8.5),
        scalp_mm=rng.uniform(3.5, 7.5),
        ventricles=0.55 + 0.75 * age * rng.uniform(0.5, 1.3),
        sulci_mm=0.5 + 1.5 * age * rng.uniform(0.5, 1.2),
        pose=Pose(shift_mm=(rng.normal(0, 6), rng.normal(0, 7)), turn_deg=rng.normal(0, 7)),
        tilt=(rng.normal(0, 0.035), rng.normal(0.02, 0.09)),
        grey_hu=rng.normal(38.5, 2.0),
        white_hu=rng.normal(29, 1.8),
        vessel_hu=rng.uniform(85, 160),
        lucency_hu=9 * age * rng.uniform(0, 1),
        calcified=bool(rng.uniform() < 0.6),
        arteries=make_arteries(rng),
        sinus_mm=rng.uniform(4, 11),
        harmonics=tuple((rng.normal(0, 0.012 / order), rng.uniform(0, 2 * np.pi)) for order in range(1, 5)),
        bends=(field(cell_mm=26), field(cell_mm=26)),
        patches=field(cell_mm=9),
        grain=field(cell_mm=2.6),
        furrows=Furrows(rng, around=40, depth_mm=34, deep=3, height_mm=110, cell_mm=14),
        folds=Furrows(rng, around=52, depth_mm=34, deep=4, height_mm=110, cell_mm=12),
    )


def tilted(head: Head, grid: Grid) -> Grid:
    """The scanner's pixels in coordinates that lie straight in the head, not yet stretched."""
    body = head.pose.to_body(grid)
    z = body.z + body.x * np.float32(head.tilt[0]) + body.y * np.float32(head.tilt[1])
    return body.moved(x=body.x, y=body.y, z=z)


def standard_grid(head: Head, body: Grid, bends: tuple[Field, ...]) -> Grid:
    """The pixels of `tilted` in the standard head's millimetres."""
    return body.moved(
        x=body.x * np.float32(_STANDARD_MM[0] / head.half_width_mm) + bends[0] * np.float32(1.4),
        y=body.y * np.float32(_STANDARD_MM[1] / head.half_length_mm) + bends[1] * np.float32(1.4),
        z=body.z,
    )


def to_patient(head: Head, point: Point) -> Point:
    """A point of the standard head in the scanner's millimetres (but for the warp, which is below 5 mm)."""
    x, y = point[0] * head.half_width_mm / _STANDARD_MM[0], point[1] * head.half_length_mm / _STANDARD_MM[1]
    z = point[2] - x * head.tilt[0] - y * head.tilt[1]
    return *head.pose.to_scanner(x, y), z


def towards_wall(
    head: Head, turns: float, z_mm: float, *, inwards_mm: float, share: float = 1.0
) -> tuple[float, float]:
    """A place of the standard head on the way from its axis to `inwards_mm` within the skull.

    `turns` is the direction: 0 to the front, 0.25 to the left. `share` is how far along, 0 to 1.
    """
    at = np.full((1, 1), z_mm, np.float32)
    wall = skull_radius(head, Grid(x=at, y=at, z=at, pixel_mm=1.0), np.full((1, 1), turns, np.float32))
    reach, angle = share * (float(wall[0, 0]) - inwards_mm), 2 * np.pi * turns
    x, y = reach * np.sin(angle), -reach * np.cos(angle)
    return float(x * _STANDARD_MM[0] / head.half_width_mm), float(y * _STANDARD_MM[1] / head.half_length_mm)


def skull_radius(head: Head, grid: Grid, turns: Field) -> Field:
    """Radius in mm of the inner table in each direction: an egg, wider at the back, smaller towards the vertex."""
    angle = turns * np.float32(2 * np.pi)
    sin, cos = np.abs(np.sin(angle)), np.cos(angle)
    width = head.half_width_mm * (1 - np.float32(head.egg) * cos)
    power = np.float32(2.25)
    wall = ((sin / width) ** power + (np.abs(cos) / head.half_length_mm) ** power) ** (-1 / power)
    for order, (size, phase) in enumerate(head.harmonics, start=2):
        wall = wall * (1 + np.float32(size) * np.cos(order * angle + np.float32(phase)))
    dome = np.sqrt(np.clip(1 - ((grid.z - 18) / 88) ** 2, 0.02, 1))
    radius: Field = (wall * dome).astype(np.float32)
    return radius
