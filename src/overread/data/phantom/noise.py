"""Smooth noise in space: what makes tissue uneven, organs irregular, and the brain furrowed."""

from __future__ import annotations

import numpy as np
from PIL import Image as Picture

from overread.data.phantom.shapes import Field


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
        found: Field = texture[row, column]
        return found
