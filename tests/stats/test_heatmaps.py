from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from skimage.metrics import structural_similarity as of_skimage

from overread.stats.heatmaps import (
    centre_map,
    edge_map,
    energy_inside,
    points_at,
    random_map,
    rank_similarity,
    strongest,
    structural_similarity,
)

RNG = np.random.default_rng(0)
ONE, OTHER = RNG.random((9, 12)), RNG.random((9, 12)).round(1)  # the second has ties


def test_ranks_are_spearmans() -> None:
    assert rank_similarity(ONE, OTHER) == pytest.approx(stats.spearmanr(ONE.ravel(), OTHER.ravel()).statistic)
    assert rank_similarity(ONE, np.exp(5 * ONE)) == pytest.approx(1)
    assert rank_similarity(ONE, -ONE) == pytest.approx(-1)
    assert math.isnan(rank_similarity(ONE, np.ones((9, 12))))


@pytest.mark.parametrize("shape", [(7, 7), (9, 12), (30, 20)])
def test_structure_is_as_skimage_has_it(shape: tuple[int, int]) -> None:
    a, b = RNG.random(shape), 3 * RNG.random(shape) - 1
    scaled = [(x - x.min()) / np.ptp(x) for x in (a, b)]
    assert structural_similarity(a, b) == pytest.approx(of_skimage(*scaled, data_range=1))
    assert structural_similarity(a, 2 * a + 1) == pytest.approx(1)


def test_structure_of_small_and_of_even_maps() -> None:
    a = RNG.random((4, 4))
    scaled = (a - a.min()) / np.ptp(a)
    assert structural_similarity(a, a[::-1]) == pytest.approx(
        of_skimage(scaled, scaled[::-1], data_range=1, win_size=3)
    )
    assert math.isnan(structural_similarity(a, np.zeros((4, 4))))


def test_the_pointing_game() -> None:
    heat, mask = np.zeros((10, 10)), np.zeros((10, 10), bool)
    heat[2, 7], mask[2, 4] = 1, True
    assert not points_at(heat, mask)
    assert not points_at(heat, mask, margin_px=2.9)
    assert points_at(heat, mask, margin_px=3)
    assert not points_at(heat, np.zeros((10, 10), bool), margin_px=99)
    mask[2, 7] = True
    assert points_at(heat, mask)


def test_energy_counts_what_is_positive() -> None:
    heat = np.array([[1.0, 2.0], [-5.0, 1.0]])
    mask = np.array([[1, 0], [1, 1]])
    assert energy_inside(heat, mask) == pytest.approx(0.5)
    assert math.isnan(energy_inside(-np.ones((2, 2)), mask))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_exactly_so_many_are_strongest(share: float) -> None:
    for heat in (ONE, OTHER, np.zeros((9, 12))):
        chosen = strongest(heat, share)
        assert chosen.sum() == round(share * heat.size)
        if 0 < share < 1:
            assert heat[chosen].min() >= heat[~chosen].max()


def test_maps_that_know_nothing() -> None:
    square = np.zeros((64, 64, 3), np.uint8)
    square[:, 32:] = 200
    edges = edge_map(square)
    assert abs(edges.argmax(axis=1) - 31.5).max() <= 0.5
    assert edges[:, :20].max() < 1e-6 * edges.max()
    middle = centre_map(9)
    assert np.unravel_index(middle.argmax(), middle.shape) == (4, 4)
    assert middle == pytest.approx(middle.T)
    assert random_map(np.random.default_rng(1), 7) == pytest.approx(random_map(np.random.default_rng(1), 7))
