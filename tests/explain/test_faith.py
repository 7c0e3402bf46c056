from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.explain.faith import SHARES, Curves, compare_faith, curves

SIDE = 56
N = 6
SQUARE = (slice(8, 24), slice(32, 48))


def predict(squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Class 1 the likelier, the brighter one square is."""
    p = squares[:, SQUARE[0], SQUARE[1]].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - p, p], axis=1)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    squares = np.random.default_rng(0).normal(40, 8, (N, SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    squares[:, SQUARE[0], SQUARE[1]] = 220
    return squares


def on(rows: slice, columns: slice) -> list[NDArray[np.float32]]:
    heat = np.zeros((7, 7), np.float32)
    heat[rows, columns] = 1
    return [heat] * N


def follow(images: NDArray[np.uint8], maps: list[NDArray[np.float32]], target: int = 1) -> Curves:
    return curves(predict, images, maps, [target] * N, rng=np.random.default_rng(1))


def test_a_map_of_what_the_network_reads_beats_one_that_is_not(images: NDArray[np.uint8]) -> None:
    right, wrong = follow(images, on(slice(1, 3), slice(4, 6))), follow(images, on(slice(4, 6), slice(1, 3)))
    assert (right.areas[0] < wrong.areas[0] - 0.2).all()
    assert (right.areas[1] > wrong.areas[1] + 0.2).all()


def test_curves_begin_and_end_where_they_must(images: NDArray[np.uint8]) -> None:
    found = follow(images, on(slice(1, 3), slice(4, 6)))
    assert found.deletion.shape == found.insertion.shape == (N, len(SHARES) + 1)
    whole = predict(images)[:, 1]
    assert found.deletion[:, 0] == pytest.approx(whole)
    empty = images.mean(axis=(1, 2, 3)) / 255
    assert found.insertion[:, 0] == pytest.approx(empty, abs=0.02)
    assert found.insertion[:, 1] == pytest.approx(whole, abs=0.02)  # the square is 8 % of the image


def test_another_class_has_the_other_curve(images: NDArray[np.uint8]) -> None:
    maps = on(slice(1, 3), slice(4, 6))
    one, other = follow(images, maps), follow(images, maps, target=0)
    assert one.deletion + other.deletion == pytest.approx(1)


def test_areas_by_hand() -> None:
    height = np.array([1.0, 0.9, 0.7, 0.5, 0.3, 0.1])  # a straight line but for its first share
    found = Curves(deletion=height[None], insertion=np.ones((1, 6)))
    by_hand = (0.1 * 0.95 + 0.8 * 0.5) / 0.9
    assert found.areas[0] == pytest.approx([by_hand])
    assert found.areas[1] == pytest.approx([1])


def test_the_comparison_is_of_the_same_images() -> None:
    rng = np.random.default_rng(0)
    level = rng.random((20, 1))  # images differ far more than methods do
    line = np.linspace(1, 0, 6)[None]
    one = Curves(deletion=level * line, insertion=level * line)
    other = Curves(deletion=level * line + 0.1 + 0.01 * rng.random((20, 1)), insertion=level * line)
    found = compare_faith(one, {"random": other}, [str(i // 2) for i in range(20)])
    down, up = found.against["random"]
    assert -0.12 < down.low < down.high < -0.1
    assert (down.n_images, down.n_patients) == (20, 10)
    assert up.value == 0
    assert math.isnan(up.low)
    assert found.deletion.high - found.deletion.low > 0.1
