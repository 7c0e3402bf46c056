from __future__ import annotations

import numpy as np
import pytest

from overread.data.phantom.chest import behind_fissure, lungs_at, make_chest, to_patient
from overread.data.phantom.chest_lesions import draw_chest_lesion, make_chest_lesions
from overread.data.phantom.chest_slice import ChestSlice, draw_chest
from overread.data.phantom.shapes import slice_grid


def test_lungs_hold_air_and_vessels_within_ribs() -> None:
    chest = make_chest(np.random.default_rng(0))
    picture = draw_chest(chest, slice_grid(size_px=128, pixel_mm=2.95, z_mm=0.0))
    lung = picture.lung_mm < -4
    assert 0.08 < lung.mean() < 0.35
    assert -900 < np.median(picture.hu[lung]) < -750
    assert 0.005 < (picture.hu[lung] > -400).mean() < 0.15  # vessels
    assert not (picture.hu[lung] > 400).any()  # no bone
    assert (picture.hu > 400).sum() > 100


def test_the_heart_is_wider_than_the_arch_above_it() -> None:
    chest = make_chest(np.random.default_rng(1))
    areas = [(lungs_at(chest, z)[1] < 0).mean() for z in (-45.0, 25.0)]
    assert areas[0] != areas[1]
    row = [lungs_at(chest, z)[1][40, 30:66] > 0 for z in (-45.0, 25.0)]
    assert row[0].sum() > row[1].sum()


def test_the_fissure_climbs_to_the_back() -> None:
    assert behind_fissure(80.0, 0.0, -40.0) > 0 > behind_fissure(80.0, 0.0, 40.0)


@pytest.mark.parametrize(("kind", "most"), [("nodule", 1), ("pneumonia", 2)])
def test_lesions_lie_in_the_lungs_and_change_nothing_else(kind: str, most: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        chest = make_chest(rng)
        lesions, z_mm = make_chest_lesions(rng, chest, kind)
        assert 1 <= len(lesions) <= most
        assert to_patient(chest, lesions[0].centre)[2] == z_mm
        grid = slice_grid(size_px=96, pixel_mm=3.9, z_mm=z_mm)
        shares: list[np.ndarray] = []

        def add(picture: ChestSlice, first=lesions[0], shares=shares) -> None:  # type: ignore[no-untyped-def]
            shares.append(draw_chest_lesion(first, picture))

        sick, healthy = draw_chest(chest, grid, lesions=add), draw_chest(chest, grid)
        assert (shares[0] > 0.5).sum() > 4
        assert sick.lung_mm[shares[0] > 0.5].max() < 1.1
        assert np.abs(sick.hu - healthy.hu)[sick.lung_mm > 2].max() < 1e-3


def test_a_normal_chest_has_no_lesion() -> None:
    rng = np.random.default_rng(0)
    assert make_chest_lesions(rng, make_chest(rng), "normal")[0] == ()
