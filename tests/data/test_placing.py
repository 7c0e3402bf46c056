from __future__ import annotations

import numpy as np
import pytest

from overread.data.image import prepare
from overread.data.pixels import Header, Image
from overread.data.placing import onto_image, place
from overread.settings import ImageSettings


def test_a_square_image_fills_the_square_and_an_oblong_one_is_stretched_or_padded() -> None:
    for rows, columns, fit in ((100, 100, "pad"), (50, 200, "squash")):
        inner = place(rows, columns, side_px=64, fit=fit)
        assert (inner.top, inner.left, inner.height, inner.width) == (0, 0, 64, 64)
    low = place(50, 200, side_px=64, fit="pad")
    assert (low.top, low.left, low.height, low.width) == (24, 0, 16, 64)
    tall = place(300, 3, side_px=64, fit="pad")
    assert (tall.top, tall.left, tall.height, tall.width) == (0, 31, 64, 1)


def peak(heat: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(row), int(column)


def one_place(row: int, column: int) -> np.ndarray:
    heat = np.zeros((7, 7), np.float32)
    heat[row, column] = 1
    return heat


def test_a_place_comes_back_to_its_share_of_a_stretched_image() -> None:
    heat = onto_image(one_place(1, 5), place(140, 280, side_px=224, fit="squash"))
    assert heat.shape == (140, 280)
    assert peak(heat) == (pytest.approx(29.5, abs=0.5), pytest.approx(219.5, abs=0.5))
    assert heat[30, 220] == pytest.approx(heat.max(), rel=0.01)


def test_what_lies_on_the_added_border_goes() -> None:
    inner = place(112, 224, side_px=224, fit="pad")  # rows 56 to 168 of the square: places 1.75 to 5.25
    assert onto_image(one_place(0, 3), inner).max() < 0.1
    heat = onto_image(one_place(3, 3), inner)
    assert peak(heat) == (pytest.approx(55.5, abs=0.5), pytest.approx(111.5, abs=0.5))


def test_a_mirrored_map_comes_back_mirrored() -> None:
    heat = np.random.default_rng(0).random((7, 9)).astype(np.float32)
    inner = place(60, 90, side_px=64, fit="squash")
    assert onto_image(heat[:, ::-1], inner) == pytest.approx(onto_image(heat, inner)[:, ::-1], abs=1e-6)
    assert onto_image(heat[::-1], inner) == pytest.approx(onto_image(heat, inner)[::-1], abs=1e-6)


def test_an_even_map_stays_even_and_a_peak_may_lie_between_two_places() -> None:
    inner = place(210, 210, side_px=210, fit="squash")
    assert onto_image(np.full((7, 7), 3.0), inner) == pytest.approx(np.full((210, 210), 3.0), rel=1e-6)
    between = one_place(3, 2) + one_place(3, 3)
    assert peak(onto_image(between, inner))[1] == pytest.approx(89.5, abs=0.6)
    for rows, columns in ((1, 1), (1, 50), (3, 700)):
        assert onto_image(between, place(rows, columns, side_px=64, fit="pad")).shape == (rows, columns)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("seed", range(6))
def test_it_undoes_what_prepare_does(fit: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(40, 300)), int(rng.integers(40, 300)))
    centre = rng.uniform(0.2, 0.8, 2) * shape
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    width = max(shape) / 30
    values = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * width**2)).astype(np.float32)
    header = Header(format="dicom", n_frames=1, rows=shape[0], columns=shape[1], scale="raw")
    image = Image(pixels=values, scale="raw", window=None, header=header, frame=0)
    square = prepare(image, ImageSettings(size_px=128, window="header", fit=fit))
    coarse = square[..., 0].reshape(16, 8, 16, 8).mean(axis=(1, 3))
    found = peak(onto_image(coarse, place(*shape, side_px=128, fit=fit)))
    reach = [max(shape) / 16] * 2 if fit == "pad" else [side / 16 for side in shape]
    assert abs(found[0] - centre[0]) <= 0.5 * reach[0] + 1
    assert abs(found[1] - centre[1]) <= 0.5 * reach[1] + 1
