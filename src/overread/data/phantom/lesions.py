"""What every lesion has: a place, a size, and a shape of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overread.data.phantom.noise import Noise
from overread.data.phantom.shapes import Field, Grid, Point


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One lesion before it is drawn: centre and radius in mm, in the coordinates that its organ is drawn in."""

    kind: str
    centre: Point
    radius_mm: float
    stretch: tuple[float, float, float]
    rough: float
    hu: float
    core_hu: float
    halo_mm: float
    variant: float
    texture: Noise

    def distance(self, grid: Grid) -> Field:
        """Signed distance in mm to the surface: an ellipsoid made irregular by `rough`."""
        cx, cy, cz = (np.float32(v) for v in self.centre)
        sx, sy, sz = (np.float32(v) for v in self.stretch)
        far = np.sqrt(((grid.x - cx) / sx) ** 2 + ((grid.y - cy) / sy) ** 2 + ((grid.z - cz) / sz) ** 2)
        uneven = self.texture.at(grid.z_mm, grid.x.shape[0]) if self.rough else np.float32(0)
        near: Field = far - np.float32(self.radius_mm) * (1 + np.float32(self.rough) * uneven)
        return near


def make_lesion(
    rng: np.random.Generator,
    *,
    kind: str,
    centre: Point,
    radius_mm: float,
    field_mm: float,
    rough: float = 0.0,
    hu: float,
    core_hu: float = 0.0,
    halo_mm: float = 0.0,
    uneven: float = 0.15,
) -> Lesion:
    """A lesion of random proportions; `uneven` is how far from a ball it may be, 0 to 0.3."""
    stretch = np.exp(rng.uniform(-uneven, uneven, 2))
    return Lesion(
        kind=kind,
        centre=centre,
        radius_mm=radius_mm,
        stretch=(float(stretch[0]), float(stretch[1]), 1.1),
        rough=rough,
        hu=hu,
        core_hu=core_hu,
        halo_mm=halo_mm,
        variant=float(rng.uniform()),
        texture=Noise(rng, cell_mm=max(4.0, 0.8 * radius_mm), field_mm=field_mm, height_mm=160.0),
    )
