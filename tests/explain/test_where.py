from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.explain.where import GRID, Regions, enlarge, evidence_for, find_regions, shares

NO_LETTERS = np.zeros((8, 8), bool)


def chest(*, air: int = 60) -> NDArray[np.uint8]:
    """A body with two lungs in air, a table below and a letter in the corner: (224, 224, 3)."""
    y, x = np.mgrid[:224, :224]
    picture = np.full((224, 224), air)
    picture[((y - 100) / 70) ** 2 + ((x - 112) / 95) ** 2 < 1] = 200
    for middle in (70, 154):
        picture[((y - 95) / 40) ** 2 + ((x - middle) / 28) ** 2 < 1] = air + 10
    picture[195:200, 20:204] = 160
    picture[12:26, 12:22] = 255
    return picture.astype(np.uint8)[..., None].repeat(3, axis=-1)


def at(mask: NDArray[np.bool_], row: int, column: int) -> bool:
    return bool(mask[row * GRID // 224, column * GRID // 224])


@pytest.mark.parametrize("air", [0, 60])
def test_lungs_are_body_and_table_letter_and_air_are_not(air: int) -> None:
    outside = find_regions(chest(air=air), NO_LETTERS, cells=7).outside
    assert not at(outside, 100, 112)
    assert not at(outside, 95, 70)
    assert not at(outside, 95, 154)
    for place in ((18, 16), (197, 112), (210, 10), (100, 5)):
        assert at(outside, *place)
    assert outside.mean() == pytest.approx(1 - math.pi * 70 * 95 / 224**2, abs=0.06)


def test_a_picture_that_is_body_to_its_edges_has_nothing_outside() -> None:
    noise = np.random.default_rng(0).integers(90, 200, (224, 224, 1)).astype(np.uint8).repeat(3, axis=-1)
    assert find_regions(noise, NO_LETTERS, cells=7).outside.mean() < 0.02
    assert not find_regions(np.zeros((64, 64, 3), np.uint8), NO_LETTERS, cells=7).outside.any()


def test_rim_and_letters() -> None:
    board = NO_LETTERS.copy()
    board[0, 7] = True
    found = find_regions(chest(), board, cells=7)
    assert found.edge.mean() == pytest.approx(1 - (44 / 56) ** 2)
    assert at(found.letters, 10, 215)
    assert not at(found.letters, 10, 100)
    finer = find_regions(chest(), board, cells=28)
    assert finer.letters.sum() < found.letters.sum()  # a finer map can tell it from more around it


def test_shares_by_hand() -> None:
    nothing = np.zeros((GRID, GRID), bool)
    left = nothing.copy()
    left[:, : GRID // 2] = True
    regions = Regions(outside=left, edge=nothing, letters=~nothing)
    even = shares(np.ones((7, 7), np.float32), regions)
    assert even["outside"][:2] == pytest.approx((0.5, 0.5))
    assert even["edge"] == (0, 0, False)
    assert even["letters"][:2] == pytest.approx((1, 1))
    one = np.full((7, 7), -1.0, np.float32)
    one[3, 6] = 5
    share, area, peak = shares(one, regions)["outside"]
    assert (share, area, peak) == (pytest.approx(0, abs=1e-3), 0.5, False)
    none = shares(-np.ones((7, 7), np.float32), regions)["outside"]
    assert math.isnan(none[0])
    assert none[2] is False


def test_evidence_is_a_difference() -> None:
    maps = np.arange(3 * 4).reshape(3, 2, 2).astype(np.float32)
    assert evidence_for(maps, 2) == pytest.approx(np.full((2, 2), 4))
    assert evidence_for(maps, 0, against=2) == pytest.approx(np.full((2, 2), -8))
    assert evidence_for(maps + 100, 2) == pytest.approx(evidence_for(maps, 2))


def test_enlarging_keeps_places() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[3, 0] = 1
    fine = enlarge(heat, 40)
    row, column = np.unravel_index(fine.argmax(), fine.shape)
    assert row >= 34
    assert column <= 5
