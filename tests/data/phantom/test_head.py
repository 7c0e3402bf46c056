from __future__ import annotations

import numpy as np
import pytest

from overread.data.phantom.head import make_head, skull_radius, standard_grid, tilted, to_patient, towards_wall
from overread.data.phantom.head_lesions import HEIGHTS_MM, draw_head_lesion, make_head_lesions
from overread.data.phantom.head_slice import draw_head
from overread.data.phantom.shapes import slice_grid

GRID = slice_grid(size_px=128, pixel_mm=1.75, z_mm=18.0)


def test_a_head_has_bone_around_grey_and_white_matter_and_fluid() -> None:
    head = make_head(np.random.default_rng(0))
    picture = draw_head(head, GRID)
    bone, brain = picture.hu > 250, picture.brain > 0.99
    assert not (bone & (picture.inner_mm < -4)).any()
    tables = bone[np.abs(picture.inner_mm - head.skull_mm / 2) < 1.5].mean()
    assert tables > 0.9
    tissue = brain & (picture.hu > 20) & (picture.hu < 48)
    white, grey = tissue & (picture.white > 0.95), tissue & (picture.white < 0.05)
    assert np.median(picture.hu[grey]) - np.median(picture.hu[white]) > 5
    assert ((picture.hu < 12) & brain).sum() > 30  # ventricles and sulci


def test_points_of_the_head_are_found_again_in_the_scanner() -> None:
    head = make_head(np.random.default_rng(1))
    x, y, z = to_patient(head, (20.0, -30.0, 10.0))
    here = slice_grid(size_px=3, pixel_mm=0.001, z_mm=z)
    body = tilted(head, here.moved(x=here.x + np.float32(x), y=here.y + np.float32(y), z=here.z))
    standard = standard_grid(head, body, (np.zeros_like(x), np.zeros_like(x)))
    assert (standard.x[1, 1], standard.y[1, 1], standard.z[1, 1]) == pytest.approx((20, -30, 10), abs=0.01)


def test_the_skull_lies_where_the_way_to_it_ends() -> None:
    head = make_head(np.random.default_rng(2))
    x, y = towards_wall(head, 0.25, 10.0, inwards_mm=0.0)
    assert y == pytest.approx(0, abs=1e-6)
    one = np.ones((1, 1), np.float32)
    at = GRID.moved(x=one, y=one, z=10 * one)
    assert x * head.half_width_mm / 68 == pytest.approx(float(skull_radius(head, at, 0.25 * one)[0, 0]), rel=1e-5)


@pytest.mark.parametrize("kind", ["aneurysm", "cancer", "tumor"])
def test_lesions_stay_within_the_skull_and_at_the_same_heights(kind: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        head = make_head(rng)
        first = make_head_lesions(rng, head, kind)[0]
        assert first.kind == kind
        assert HEIGHTS_MM[0] - 5 < first.centre[2] < HEIGHTS_MM[1] + 5
        grid = slice_grid(size_px=96, pixel_mm=2.3, z_mm=to_patient(head, first.centre)[2])
        picture = draw_head(head, grid)
        healthy = picture.hu.copy()
        share = draw_head_lesion(first, picture)
        assert (share > 0.5).sum() > 4
        assert picture.inner_mm[share > 0.5].max() < 1
        assert np.array_equal(picture.hu[picture.inner_mm > 4], healthy[picture.inner_mm > 4])
