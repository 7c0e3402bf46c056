"""Three invented scanners: pixel size, kernel, noise, offset and table, none of which tells the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overread.data.phantom.shapes import Field, Grid, ellipse, inside, paint


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A reconstruction kernel: how fine it resolves, and how much it sharpens edges."""

    name: str
    cutoff_per_mm: float
    edge: float


SMOOTH = Kernel(name="S20", cutoff_per_mm=0.36, edge=0.0)
MEDIUM = Kernel(name="M40", cutoff_per_mm=0.46, edge=0.12)
SHARP = Kernel(name="B60", cutoff_per_mm=0.62, edge=0.35)
KERNELS = (SMOOTH, MEDIUM, SHARP)


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """What a scanner does to a slice and says in its headers."""

    name: str
    manufacturer: str
    model: str
    kernel: Kernel
    noise_hu: float
    offset_hu: float
    spacing_mm: float
    thickness_mm: float
    kvp: int
    field: float
    table: str


SCANNERS = (
    Scanner(
        name="A",
        manufacturer="Northlight Medical",
        model="Aurora 64",
        kernel=MEDIUM,
        noise_hu=4.2,
        offset_hu=0.0,
        spacing_mm=1.5,
        thickness_mm=2.0,
        kvp=120,
        field=1.0,
        table="cradle",
    ),
    Scanner(
        name="B",
        manufacturer="Kestrel Imaging",
        model="K-Vue 16",
        kernel=SMOOTH,
        noise_hu=3.2,
        offset_hu=5.0,
        spacing_mm=2.0,
        thickness_mm=2.5,
        kvp=130,
        field=1.06,
        table="flat",
    ),
    Scanner(
        name="C",
        manufacturer="Orbis Tomography",
        model="Helix 128",
        kernel=SHARP,
        noise_hu=5.5,
        offset_hu=-4.0,
        spacing_mm=1.25,
        thickness_mm=1.5,
        kvp=110,
        field=0.97,
        table="double",
    ),
)


def paint_table(hu: Field, scanner: Scanner, grid: Grid, *, body: str) -> None:
    """Lay the head holder or the table under the patient, in place."""
    back_mm = float(grid.y[np.flatnonzero((hu > -500).any(axis=1))[-1], 0])
    x, y = grid.x, grid.y
    edge = grid.pixel_mm * 1.2
    reach = 95.0 if body == "head" else 205.0
    if scanner.table == "flat":
        shell = np.maximum(np.abs(y - back_mm - 7) - 1.2, np.abs(x) - reach)
        foam = np.maximum(np.abs(y - back_mm - 3) - 2.8, np.abs(x) - 0.8 * reach)
    else:
        bow = ellipse(x, y, at=(0, back_mm + 5 - 1.3 * reach), radii=(1.5 * reach, 1.3 * reach))
        shell = np.maximum(np.abs(bow) - 1.3, back_mm - 0.42 * reach - y)
        if scanner.table == "double":
            shell = np.minimum(shell, np.maximum(np.abs(bow - 14) - 1.1, back_mm - 0.3 * reach - y))
        foam = np.maximum(np.abs(bow + 4) - 2.5, back_mm - 0.42 * reach - y)
    paint(hu, inside(foam, edge) * inside(hu + 900, 50), -930)
    paint(hu, inside(shell, edge) * inside(hu + 700, 50), -150)


def scan(hu: Field, scanner: Scanner, kernel: Kernel, grid: Grid, rng: np.random.Generator, *, dose: float) -> Field:
    """The slice as the scanner would store it: blurred or sharpened by the kernel, noisy, and off by its offset.

    `dose` divides the noise's variance. Noise is white noise shaped by the ramp of filtered backprojection and
    by the kernel, so it has the fine grain of real CT; it is stronger behind bone and in the middle.
    """
    size = hu.shape[0]
    across = np.fft.rfftfreq(size, grid.pixel_mm).astype(np.float32)
    down = np.fft.fftfreq(size, grid.pixel_mm).astype(np.float32)
    frequency = np.hypot(down[:, None], across[None, :])
    blur = np.exp(-((frequency / np.float32(kernel.cutoff_per_mm)) ** 2.2))
    response = blur * (1 + np.float32(kernel.edge * 8) * frequency**2)
    grain = np.sqrt(frequency) * response + np.float32(0.02)
    power = np.sqrt(np.mean(np.square(grain)))
    white = rng.standard_normal(hu.shape).astype(np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * (grain / power), s=hu.shape)
    solid = np.fft.irfft2(np.fft.rfft2(np.clip(hu + 1000, 0, 1600)) * np.exp(-((frequency / 0.008) ** 2)), s=hu.shape)
    level = scanner.noise_hu / np.sqrt(dose) * (0.35 + 0.65 * np.clip(solid, 0, None) / 1000)
    image = np.fft.irfft2(np.fft.rfft2(hu) * response, s=hu.shape)
    scanned: Field = (image + noise * level + scanner.offset_hu).astype(np.float32)
    return scanned


_GLYPHS = {
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
    "P": ("####.", "#...#", "#...#", "####.", "#....", "#....", "#...."),
}


def burn_in(hu: Field, letter: str, rng: np.random.Generator) -> None:
    """Burn a letter into the upper left corner, in place, as old workstations did; nothing for an empty one."""
    if not letter:
        return
    scale = max(1, hu.shape[0] // 96)
    glyph = np.array([[mark == "#" for mark in row] for row in _GLYPHS[letter]])
    drawn = np.kron(glyph, np.ones((scale, scale), bool))
    top, left = rng.integers(scale * 3, scale * 6, 2)
    corner = hu[top : top + drawn.shape[0], left : left + drawn.shape[1]]
    corner[drawn] = 1500
