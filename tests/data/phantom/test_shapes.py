from __future__ import annotations

import numpy as np
import pytest

from overread.data.phantom.shapes import (
    Pose,
    bump,
    ellipse,
    flat_tube,
    inside,
    line_distance,
    paint,
    paint_tube,
    rise,
    slice_grid,
    tube,
)

GRID = slice_grid(size_px=64, pixel_mm=1.0, z_mm=5.0)


def test_a_grid_is_centred_on_the_axis() -> None:
    assert GRID.x.mean() == pytest.approx(0)
    assert GRID.x[0, 0] == -31.5
    assert GRID.z_mm == 5.0
    assert GRID.x.dtype == np.float32


def test_a_pose_and_its_inverse_meet() -> None:
    pose = Pose(shift_mm=(4.0, -7.0), turn_deg=20.0)
    body = pose.to_body(GRID)
    x, y = pose.to_scanner(body.x.astype(float), body.y.astype(float))
    assert np.allclose(x, GRID.x, atol=1e-4)
    assert np.allclose(y, GRID.y, atol=1e-4)


def test_a_disc_has_the_area_of_a_disc() -> None:
    disc = inside(ellipse(GRID.x, GRID.y, at=(3, -2), radii=(20, 20), turn=30), 1.2)
    assert disc.sum() == pytest.approx(np.pi * 400, rel=0.01)
    oval = inside(ellipse(GRID.x, GRID.y, at=(0, 0), radii=(24, 10), turn=45), 1.2)
    assert oval.sum() == pytest.approx(np.pi * 240, rel=0.01)


def test_an_ellipse_without_radius_is_nowhere() -> None:
    assert (ellipse(GRID.x, GRID.y, at=(0, 0), radii=(np.zeros_like(GRID.x), 5)) > 50).all()


def test_tubes_are_cut_where_the_slice_cuts_them() -> None:
    upright = tube(GRID, (0, 0, 0), (0, 0, 10), 6.0)
    assert upright is not None
    assert inside(upright[1], 1.2).sum() == pytest.approx(np.pi * 36, rel=0.03)
    assert tube(GRID, (0, 0, 20), (0, 0, 30), 6.0) is None
    assert tube(GRID, (200, 0, 0), (200, 0, 10), 6.0) is None
    flat = inside(flat_tube(GRID.x, GRID.y, (-10, 0), (10, 0), 3.0), 1.2)
    assert flat.sum() == pytest.approx(20 * 6 + np.pi * 9, rel=0.02)


def test_a_tilted_grid_cuts_the_same_tube() -> None:
    moved = GRID.moved(x=GRID.x, y=GRID.y, z=GRID.z)
    pictures = []
    for grid in (GRID, moved):
        picture = np.zeros_like(GRID.x)
        paint_tube(picture, grid, ((-8, 2, 3), (9, 4, 8)), 4.0, hu=100, edge_mm=1.2)
        pictures.append(picture)
    assert np.allclose(*pictures)
    assert pictures[0].max() == 100


def test_paint_mixes_by_share() -> None:
    picture = np.full((1, 3), -1000, np.float32)
    paint(picture, np.array([[0, 0.5, 1]], np.float32), 40)
    assert picture.tolist() == [[-1000, -480, 40]]


def test_ramps_start_and_end_where_they_say() -> None:
    values = np.array([-1, 0, 1, 2, 3], np.float32)
    assert rise(values, 0, 2).tolist() == [0, 0, 0.5, 1, 1]
    assert rise(values, 2, 0).tolist() == [1, 1, 0.5, 0, 0]
    assert bump(values, 1, 2).tolist() == pytest.approx([0, 0.75**0.5, 1, 0.75**0.5, 0])


def test_the_distance_to_a_line_is_in_mm() -> None:
    distance = line_distance(GRID.x * 0.5, 1.0)
    assert distance[10, 40] == pytest.approx(8.5, rel=0.1)
