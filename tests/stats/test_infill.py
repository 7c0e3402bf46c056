from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.stats import infill
from overread.stats.infill import fill


def ramp(side: int) -> NDArray[np.uint8]:
    """Ever brighter from left to right, in each channel otherwise: (side, side, 3)."""
    columns = np.linspace(20, 220, side)
    return np.rint(np.stack([columns, columns / 2, 255 - columns], axis=-1)).astype(np.uint8)[None].repeat(side, 0)


def hole(side: int, low: float, high: float) -> NDArray[np.bool_]:
    missing = np.zeros((side, side), bool)
    missing[int(low * side) : int(high * side), int(low * side) : int(high * side)] = True
    return missing


def quiet(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return fill(image, missing, noise=0, rng=np.random.default_rng(0))


def test_a_slope_is_its_own_filling() -> None:
    """A linear image solves the system: each place is the mean of what surrounds it."""
    found = quiet(ramp(40), hole(40, 0.3, 0.7))
    assert abs(found.astype(int) - ramp(40)).max() <= 1


def test_what_is_kept_is_unchanged_and_what_is_missing_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (30, 30, 3)).astype(np.uint8)
    missing = hole(30, 0.4, 0.6)
    found = quiet(image, missing)
    assert (found[~missing] == image[~missing]).all()
    other = image.copy()
    other[missing] = 255 - other[missing]
    assert (quiet(other, missing) == found).all()


def test_each_missing_place_is_the_mean_of_its_neighbours() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    missing = np.zeros((12, 12), bool)
    missing[5, 5] = missing[0, 0] = True
    found = quiet(image, missing)
    x = image.astype(float)
    near = (x[4, 5] + x[6, 5] + x[5, 4] + x[5, 6]) / 6 + (x[4, 4] + x[4, 6] + x[6, 4] + x[6, 6]) / 12
    assert found[5, 5] == pytest.approx(near, abs=0.51)
    corner = ((x[0, 1] + x[1, 0]) / 6 + x[1, 1] / 12) / (2 / 6 + 1 / 12)
    assert found[0, 0] == pytest.approx(corner, abs=0.51)


def test_a_large_image_is_solved_coarsely_and_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[:224, :224] / 224
    image = np.stack([127 + 100 * np.sin(3 * x + 2 * y)] * 3, axis=-1).astype(np.uint8)
    missing = hole(224, 0.2, 0.5) | hole(224, 0.6, 0.9)
    coarse = quiet(image, missing)
    monkeypatch.setattr(infill, "_MOST_ROWS", 224)
    fine = quiet(image, missing)
    assert abs(coarse.astype(int) - fine).max() <= 4
    assert (coarse[~missing] == image[~missing]).all()


@pytest.mark.parametrize("side", [31, 113, 225])
def test_sides_that_cannot_be_halved(side: int) -> None:
    found = quiet(ramp(side), hole(side, 0.4, 0.5))
    assert abs(found.astype(int) - ramp(side)).max() <= 3


def test_nothing_and_everything_missing() -> None:
    image = ramp(32)
    assert (quiet(image, np.zeros((32, 32), bool)) == image).all()
    found = quiet(image, np.ones((32, 32), bool))
    assert np.ptp(found, axis=(0, 1)).max() == 0
    assert found[0, 0] == pytest.approx(image.mean(axis=(0, 1)), abs=0.51)


def test_noise_is_on_what_was_filled_alone_and_depends_on_the_seed() -> None:
    image, missing = np.full((64, 64, 3), 128, np.uint8), hole(64, 0.1, 0.9)
    one, same, other = (fill(image, missing, noise=10, rng=np.random.default_rng(s)) for s in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert (one[~missing] == 128).all()
    assert one[missing].std() == pytest.approx(10, rel=0.05)
