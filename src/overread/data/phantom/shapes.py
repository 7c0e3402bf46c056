"""Soft shapes and smooth noise on a slice's grid of millimetres: what the anatomy is drawn with.

A shape is a field of signed distances in mm, negative inside. `inside` turns it into shares between 0 and 1,
with an edge as soft as a pixel, so that no staircase shows; `paint` lays a tissue over the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

Field = NDArray[np.float32]
"""A value for each pixel: (rows, columns) float32."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where each pixel of a slice lies, in mm: x to the patient's left, y to the back, z to the head."""

    x: Field
    y: Field
    z: Field
    pixel_mm: float
    straight: bool = False

    def moved(self, *, x: Field, y: Field, z: Field) -> Grid:
        """The same pixels in other coordinates."""
        return Grid(x=x, y=y, z=z, pixel_mm=self.pixel_mm)


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


def tube(
    grid: Grid, start: tuple[float, float, float], end: tuple[float, float, float], radius_mm: float
) -> tuple[tuple[slice, slice], Field] | None:
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
    start: tuple[float, float, float],
    end: tuple[float, float, float],
) -> Field:
    ax, ay, az = (np.float32(v) for v in start)
    bx, by, bz = (np.float32(e - s) for s, e in zip(start, end, strict=True))
    px, py, pz = grid.x[part] - ax, grid.y[part] - ay, grid.z[part] - az
    along = np.clip((px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz + 1e-6), 0, 1)
    distance: Field = np.sqrt((px - along * bx) ** 2 + (py - along * by) ** 2 + (pz - along * bz) ** 2)
    return distance


class Noise:
    """Smooth noise in space with mean 0 and deviation 1: nearby slices of a patient look alike.

    A lattice of normal numbers, `cell_mm` apart, interpolated: made once a patient, then read at any height.
    """

    def __init__(self, rng: np.random.Generator, *, cell_mm: float, field_mm: float, height_mm: float) -> None:
        across, layers = int(np.ceil(field_mm / cell_mm)) + 3, int(np.ceil(height_mm / cell_mm)) + 3
        self._lattice = rng.standard_normal((layers, across, across)).astype(np.float32)
        self._cell_mm = cell_mm
        self._low_mm = -height_mm / 2 - cell_mm

    def at(self, z_mm: float, size_px: int) -> Field:
        """The noise of one slice: (size_px, size_px)."""
        return _upsample(_layer(self._lattice, (z_mm - self._low_mm) / self._cell_mm), (size_px, size_px))


def _layer(lattice: Field, position: float) -> Field:
    last = len(lattice) - 2
    below = int(np.clip(np.floor(position), 0, last))
    share = float(np.clip(position - below, 0, 1))
    share = share * share * (3 - 2 * share)
    mixed: Field = (1 - share) * lattice[below] + share * lattice[below + 1]
    return mixed / np.float32(np.hypot(share, 1 - share))


def _upsample(values: Field, shape: tuple[int, int]) -> Field:
    picture = Picture.fromarray(np.ascontiguousarray(values, np.float32))
    # A bicubic mean of normal numbers keeps about 0.8 of their deviation.
    return np.asarray(picture.resize((shape[1], shape[0]), Picture.Resampling.BICUBIC), np.float32) * np.float32(1.25)


class Furrows:
    """Winding lines that run inwards from a closed surface: sulci. Zero crossings of noise in polar coordinates."""

    _ACROSS_PX, _DEEP_PX = 1024, 96

    def __init__(
        self, rng: np.random.Generator, *, around: int, depth_mm: float, deep: int, height_mm: float, cell_mm: float
    ) -> None:
        layers = int(np.ceil(height_mm / cell_mm)) + 3
        lattice = rng.standard_normal((layers, deep + 2, around)).astype(np.float32)
        self._lattice = np.concatenate([lattice[..., -2:], lattice, lattice[..., :2]], axis=2)
        self._around, self._depth_mm = around, depth_mm
        self._cell_mm, self._low_mm = cell_mm, -height_mm / 2 - cell_mm

    def at(self, z_mm: float, *, turns: Field, depth_mm: Field) -> Field:
        """Noise whose zeros are the furrows; `turns` is the angle in [0, 1), `depth_mm` below the surface."""
        values = _layer(self._lattice, (z_mm - self._low_mm) / self._cell_mm)
        scale = self._ACROSS_PX // self._around
        texture = _upsample(values, (self._DEEP_PX, values.shape[1] * scale))
        column = ((turns % 1.0) * (self._around * scale) + 2 * scale).astype(np.intp)
        row = np.clip(depth_mm / self._depth_mm * self._DEEP_PX, 0, self._DEEP_PX - 1).astype(np.intp)
        return texture[row, column]


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
