from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from overread.data.phantom.scanner import KERNELS, MEDIUM, SCANNERS, Kernel, Scanner, burn_in, paint_table, scan
from overread.data.phantom.shapes import Field, Grid, inside, slice_grid

if TYPE_CHECKING:
    from conftest import Made

GRID = slice_grid(size_px=128, pixel_mm=1.7, z_mm=0.0)


def water(grid: Grid = GRID) -> Field:
    """A disc of water, 160 mm across, in air."""
    return (1000 * inside(np.hypot(grid.x, grid.y) - 80, grid.edge_mm) - 1000).astype(np.float32)


def scanned(scanner: Scanner, kernel: Kernel, *, dose: float = 1.0, seed: int = 0) -> Field:
    return scan(water(), scanner, kernel, GRID, np.random.default_rng(seed), dose=dose)


def middle(hu: Field) -> Field:
    return hu[44:84, 44:84]


def test_offsets_are_those_of_the_scanners() -> None:
    for scanner in SCANNERS:
        means = [middle(scanned(scanner, MEDIUM, seed=seed)).mean() for seed in range(3)]
        assert np.mean(means) == pytest.approx(scanner.offset_hu, abs=0.5)


def test_noise_differs_by_scanner_and_falls_with_the_dose() -> None:
    spread = [float(middle(scanned(scanner, scanner.kernel)).std()) for scanner in SCANNERS]
    assert spread[1] < 0.85 * spread[0] < 0.85 * 0.85 * spread[2]
    low = float(middle(scanned(SCANNERS[0], MEDIUM, dose=0.25)).std())
    assert low == pytest.approx(2 * spread[0], rel=0.05)


def test_sharper_kernels_have_steeper_edges_and_finer_noise() -> None:
    steep, fine = [], []
    for kernel in KERNELS:
        hu = scanned(SCANNERS[0], kernel)
        steep.append(float(np.abs(np.diff(hu[60:68].mean(axis=0))).max()))
        grain = middle(hu) - middle(hu).mean()
        fine.append(float((np.diff(grain, axis=1) ** 2).mean() / (grain**2).mean()))
    assert steep == sorted(steep)
    assert fine == sorted(fine)
    assert steep[2] > 1.1 * steep[0]


def test_a_scan_depends_on_its_generator_alone() -> None:
    assert np.array_equal(scanned(SCANNERS[0], MEDIUM, seed=1), scanned(SCANNERS[0], MEDIUM, seed=1))
    assert not np.array_equal(scanned(SCANNERS[0], MEDIUM, seed=1), scanned(SCANNERS[0], MEDIUM, seed=2))


def test_each_scanner_has_a_table_of_its_own_behind_the_patient() -> None:
    tables = []
    for scanner in SCANNERS:
        hu = water()
        paint_table(hu, scanner, GRID, body="head")
        table = hu - water() > 200
        assert table.any()
        assert not table[: int(np.flatnonzero((water() > -500).any(axis=1))[0])].any()
        assert not table[water() > -500].any()
        tables.append(table)
    assert all((tables[i] ^ tables[j]).sum() > 20 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_burnt_in_letter_is_a_letter() -> None:
    hu = np.zeros((96, 96), np.float32)
    burn_in(hu, "L", np.random.default_rng(0))
    rows, columns = np.nonzero(hu == 1500)
    assert len(rows) == 11
    assert max(rows.max(), columns.max()) < 20
    before = hu.copy()
    burn_in(hu, "", np.random.default_rng(0))
    assert np.array_equal(hu, before)


def test_files_say_which_scanner_made_them(made: Made) -> None:
    by_name = {scanner.name: scanner for scanner in SCANNERS}
    for patient in made.truth.patients:
        scanner, image = by_name[patient.scanner], made.file(patient.slices[0].path)
        assert (image.Manufacturer, image.ManufacturerModelName) == (scanner.manufacturer, scanner.model)
        assert image.ConvolutionKernel == patient.kernel == scanner.kernel.name
        assert float(image.SliceThickness) == scanner.thickness_mm
        assert int(image.KVP) == scanner.kvp
