"""Soft shapes on a slice's grid of millimetres: what the anatomy is drawn with.

A shape is a field of signed distances in mm, negative inside. `inside` turns it into shares between 0 and 1,
with an edge as soft as a pixel, so that no staircase shows; `paint` lays a tissue over the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""A value for each pixel: (rows, columns) float32."""

Point = tuple[float, float, float]
"""x, y, z in mm."""

_Number = TypeVar("_Number", float, NDArray[np.float64])


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where each pixel of a slice lies, in mm: x to the patient's left, y to the back, z to the head."""

    x: Field
    y: Field
    z: Field
    pixel_mm: float
    straight: bool = False

    @property
    def z_mm(self) -> float:
        """The height of the slice, or of its upper left corner where the grid is tilted."""
        return float(self.z[0, 0])

    @property
    def edge_mm(self) -> float:
        """How soft an edge has to be to show no staircase."""
        return 1.2 * self.pixel_mm

    def moved(self, *, x: Field, y: Field, z: Field) -> Grid:
        """The same pixels in other coordinates."""
        return Grid(x=x, y=y, z=z, pixel_mm=self.pixel_mm)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How a patient lies in the scanner: shifted, then turned about the long axis."""

    shift_mm: tuple[float, float]
    turn_deg: float

    def to_body(self, grid: Grid) -> Grid:
        """The scanner's pixels in coordinates that lie straight in the patient."""
        cos, sin = (np.float32(v) for v in self._cos_sin())
        x, y = grid.x - np.float32(self.shift_mm[0]), grid.y - np.float32(self.shift_mm[1])
        return grid.moved(x=x * cos + y * sin, y=y * cos - x * sin, z=grid.z)

    def to_scanner(self, x_mm: _Number, y_mm: _Number) -> tuple[_Number, _Number]:
        """A point of the patient, or an array of them, in the scanner's coordinates."""
        cos, sin = self._cos_sin()
        return x_mm * cos - y_mm * sin + self.shift_mm[0], x_mm * sin + y_mm * cos + self.shift_mm[1]

    def _cos_sin(self) -> tuple[float, float]:
        turn = math.radians(self.turn_deg)
        return math.cos(turn), math.sin(turn)


def slice_grid(*, size_px: int, pixel_mm: float, z_mm: float) -> Grid:
    """The grid of a square slice centred on (0, 0) at height `z_mm`."""
    axis = ((np.arange(size_px) - (size_px - 1) / 2) * pixel_mm).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return Grid(x=x, y=y, z=np.full_like(x, z_mm), pixel_mm=pixel_mm, straight=True)


def inside(distance: Field, edge_mm: float) -> Field:
    """Share of each pixel that lies within a shape, 0 to 1, for an edge of `edge_mm`."""
    share: Field = np.clip(0.5 - distance / np.float32(edge_mm), 0, 1)
    return share


def paint(picture: Field, share: Field, hu: Field | float) -> None:
    """Lay a tissue of `hu` over the picture, in place, where `share` is above 0."""
    picture += share * (np.asarray(hu, np.float32) - picture)


def rise(value: Field, start: float, end: float) -> Field:
    """Climb smoothly from 0 at `start` to 1 at `end` (which may be the smaller)."""
    t = np.clip((value - np.float32(start)) / np.float32(end - start), 0, 1)
    smooth: Field = t * t * (3 - 2 * t)
    return smooth


def bump(value: Field, centre: float, half_width: float) -> Field:
    """1 at `centre`, falling as a circle does to 0 at `half_width` away: the section of a rounded organ."""
    t = (value - np.float32(centre)) / np.float32(half_width)
    section: Field = np.sqrt(np.clip(1 - t * t, 0, 1))
    return section


def ellipse(
    x: Field, y: Field, *, at: tuple[float, float], radii: tuple[Field | float, Field | float], turn: float = 0.0
) -> Field:
    """Signed distance to an ellipse whose radii in mm may change over the picture; `turn` in degrees."""
    cos, sin = np.float32(np.cos(np.radians(turn))), np.float32(np.sin(np.radians(turn)))
    dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    ru, rv = (np.maximum(np.asarray(r, np.float32), np.float32(0.05)) for r in radii)
    k0 = np.sqrt((u / ru) ** 2 + (v / rv) ** 2)
    k1 = np.sqrt((u / ru**2) ** 2 + (v / rv**2) ** 2) + np.float32(1e-6)
    distance: Field = k0 * (k0 - 1) / k1
    # Where a radius is nothing there is no ellipse, however close its centre.
    return np.where(np.minimum(ru, rv) < 0.1, np.float32(99), distance)


def tube(grid: Grid, start: Point, end: Point, radius_mm: float) -> tuple[tuple[slice, slice], Field] | None:
    """Signed distance to a straight tube in space, and the part of the picture where it is near.

    None where the tube does not come near this slice: most do not, which makes a tree of hundreds cheap.
    """
    reach = radius_mm + 2 * grid.pixel_mm
    low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
    z_low, z_high = float(grid.z[0, 0]), float(grid.z[-1, -1])
    corners = (z_low, z_high, float(grid.z[0, -1]), float(grid.z[-1, 0]))
    if max(corners) < low[2] or min(corners) > high[2]:
        return None
    part = _box(grid, low, high)
    if part is None:
        return None
    return part, _segment_distance(grid, part, start, end) - np.float32(radius_mm)


def paint_tube(
    picture: Field,
    grid: Grid,
    ends: tuple[Point, Point],
    radius_mm: float,
    *,
    hu: float,
    edge_mm: float,
    within: Field | None = None,
) -> None:
    """Lay a straight tube over the picture, in place, in shares of `within` where that is given."""
    near = tube(grid, *ends, radius_mm)
    if near is not None:
        part, distance = near
        share = inside(distance, edge_mm)
        paint(picture[part], share if within is None else share * within[part], hu)


def _box(grid: Grid, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, slice] | None:
    """The part of the picture between two corners."""
    if grid.straight:
        left, right = np.searchsorted(grid.x[0], (low[0], high[0]))
        top, bottom = np.searchsorted(grid.y[:, 0], (low[1], high[1]))
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None
    near = (grid.x > low[0]) & (grid.x < high[0]) & (grid.y > low[1]) & (grid.y < high[1])
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows) or not len(columns):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _segment_distance(
    grid: Grid,
    part: tuple[slice, slice],
    start: Point,
    end: Point,
) -> Field:
    ax, ay, az = (np.float32(v) for v in start)
    bx, by, bz = (np.float32(e - s) for s, e in zip(start, end, strict=True))
    px, py, pz = grid.x[part] - ax, grid.y[part] - ay, grid.z[part] - az
    along = np.clip((px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz + 1e-6), 0, 1)
    distance: Field = np.sqrt((px - along * bx) ** 2 + (py - along * by) ** 2 + (pz - along * bz) ** 2)
    return distance


def line_distance(values: Field, pixel_mm: float) -> Field:
    """Distance in mm to the nearest zero of a smooth field, to first order."""
    down, across = np.gradient(values, np.float32(pixel_mm))
    steepness = np.sqrt(down**2 + across**2)
    distance: Field = np.abs(values) / (steepness + np.float32(0.03))
    return distance


def flat_tube(x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], radius_mm: float) -> Field:
    """Signed distance to a straight bar that stands upright through every slice."""
    bx, by = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((px * bx + py * by) / (bx * bx + by * by), 0, 1)
    distance: Field = np.hypot(px - along * bx, py - along * by) - np.float32(radius_mm)
    return distance
