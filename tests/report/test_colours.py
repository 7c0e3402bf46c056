from __future__ import annotations

import numpy as np
import pytest

from overread.report.colours import heat_colours


def lightness(colours: np.ndarray) -> np.ndarray:
    """OKLab's lightness of sRGB, the way forward: sRGB to linear light to cones to lightness."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    return np.asarray(np.cbrt(cones) @ [0.2104542553, 0.793617785, -0.0040720468])


def test_lightness_rises_in_equal_steps() -> None:
    found = lightness(heat_colours())
    assert found[[0, -1]] == pytest.approx([0.42, 0.93], abs=0.01)
    assert np.diff(found[::8]) == pytest.approx(np.full(31, 0.016), abs=0.004)


def test_no_colour_is_grey() -> None:
    colours = heat_colours().astype(int)
    assert colours.shape == (256, 3)
    assert np.ptp(colours, axis=1).min() > 60


def test_nobody_can_change_them_for_the_others() -> None:
    with pytest.raises(ValueError, match="read-only"):
        heat_colours()[0] = 0
