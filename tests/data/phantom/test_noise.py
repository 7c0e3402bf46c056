from __future__ import annotations

import numpy as np
import pytest

from overread.data.phantom.noise import Furrows, Noise


def make_noise(seed: int = 0) -> Noise:
    return Noise(np.random.default_rng(seed), cell_mm=5, field_mm=200, height_mm=60)


def test_noise_has_mean_nothing_and_deviation_one() -> None:
    values = make_noise().at(0.0, 256)
    assert values.shape == (256, 256)
    assert values.mean() == pytest.approx(0, abs=0.1)
    assert values.std() == pytest.approx(1, abs=0.1)


def test_noise_is_alike_in_near_slices_and_not_in_far_ones() -> None:
    noise = make_noise()
    low, near, far = (noise.at(z, 128).ravel() for z in (0.0, 0.5, 20.0))
    assert np.corrcoef(low, near)[0, 1] > 0.95
    assert abs(np.corrcoef(low, far)[0, 1]) < 0.2
    assert np.array_equal(low, noise.at(0.0, 128).ravel())


def test_furrows_close_around_the_head() -> None:
    furrows = Furrows(np.random.default_rng(0), around=40, depth_mm=30, deep=3, height_mm=60, cell_mm=12)
    turns = np.array([[-0.0001, 0.0001, 0.9999]], np.float32)
    values = furrows.at(0.0, turns=turns, depth_mm=np.full_like(turns, 5))
    assert np.ptp(values) < 0.2
