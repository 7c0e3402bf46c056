from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.data.measures import NAMES, column, letter_board, measure
from overread.data.phantom.scanner import burn_in
from overread.data.pixels import Header, Image

SQUARE = np.zeros((32, 32, 3), np.uint8)


def image(pixels: NDArray[np.generic], scale: str = "hu") -> Image:
    rows, columns = pixels.shape[:2]
    header = Header(format="dicom", n_frames=1, rows=rows, columns=columns, scale=scale)
    return Image(pixels=pixels, scale=scale, window=None, header=header, frame=0)


def named(found: NDArray[np.float32]) -> dict[str, float]:
    assert (found.shape, found.dtype) == ((len(NAMES),), np.float32)
    return dict(zip(NAMES, found.tolist(), strict=True))


def test_the_values_are_measured_as_they_are() -> None:
    ramp = np.arange(64 * 64, dtype=np.float32).reshape(64, 64) - 1000
    found = named(measure(image(ramp), SQUARE, fit="squash"))
    assert (found["low"], found["high"]) == (-1000, 3095)
    assert found["median"] == pytest.approx(1048, abs=1)
    assert found["p99"] == pytest.approx(3054, abs=1)
    assert found["lowest_share"] == found["highest_share"] == pytest.approx(1 / 4096)


def test_the_floor_is_air_and_not_the_padding_around_it() -> None:
    y, x = np.mgrid[:64, :64]
    pixels = np.random.default_rng(0).normal(-1000, 5, (64, 64)).astype(np.float32)
    pixels[np.hypot(y - 32, x - 32) > 31] = -2048
    found = named(measure(image(pixels), SQUARE, fit="squash"))
    assert found["low"] == -2048
    assert found["floor"] == pytest.approx(-1012, abs=4)
    assert 0.2 < found["lowest_share"] < 0.3


def test_a_frame_within_an_even_border() -> None:
    pixels = np.zeros((64, 64), np.uint8)
    pixels[16:48, 16:48] = np.random.default_rng(0).integers(50, 255, (32, 32))
    assert named(measure(image(pixels, "display"), SQUARE, fit="squash"))["border"] == 0.75
    assert named(measure(image(pixels[16:48, 16:48], "display"), SQUARE, fit="squash"))["border"] == 0


def test_black_and_white_are_those_of_the_prepared_square() -> None:
    square = np.full((32, 32, 3), 99, np.uint8)
    square[:8], square[8:12] = 0, 255
    square[12:, :, 0] = 0
    found = named(measure(image(np.eye(20, dtype=np.float32)), square, fit="squash"))
    assert (found["black"], found["white"]) == (0.25, 0.125)


def test_colour_is_where_channels_differ() -> None:
    pixels = np.full((64, 64, 3), 100, np.uint8)
    pixels[:16, :, 0] = 200
    assert named(measure(image(pixels, "display"), SQUARE, fit="squash"))["colour"] == 0.25
    grey = np.repeat(np.random.default_rng(0).integers(0, 255, (64, 64, 1), dtype=np.uint8), 3, axis=2)
    assert named(measure(image(grey, "display"), SQUARE, fit="squash"))["colour"] == 0


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (28, 28), (3, 500), (1000, 10), (20, 30, 3)])
def test_every_shape_is_measured(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert np.isfinite(measure(image(pixels, "display"), SQUARE, fit="squash")).all()
    raw = dataclasses.replace(image(pixels, "raw"), pixels=pixels.reshape(shape[0], -1).astype(np.float32))
    assert np.isfinite(measure(raw, SQUARE, fit="squash")).all()


def test_a_column_is_taken_by_its_name() -> None:
    table = np.arange(2 * len(NAMES), dtype=np.float32).reshape(2, -1)
    assert column(table, "floor").tolist() == [1, len(NAMES) + 1]


@pytest.mark.parametrize(("turns", "corner"), [(0, (0, 0)), (1, (7, 0)), (2, (7, 7)), (3, (0, 7))])
@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_the_board_says_where_letters_lie_in_the_square(turns: int, corner: tuple[int, int], fit: str) -> None:
    hu = np.full((256, 256), -1000, np.float32)
    rows, columns = np.mgrid[:256, :256]
    hu[(rows - 128) ** 2 + (columns - 128) ** 2 < 90**2] = 40
    burn_in(hu, "R", np.random.default_rng(0))
    found = measure(image(np.rot90(hu, turns)), SQUARE, fit=fit)
    board = letter_board(found[None])[0]
    assert board.any()
    rows_hit, columns_hit = np.nonzero(board)
    assert abs(rows_hit - corner[0]).max() <= 1
    assert abs(columns_hit - corner[1]).max() <= 1


def test_the_board_of_an_oblong_frame_on_black_begins_below_the_border() -> None:
    hu = np.full((128, 256), -1000, np.float32)
    hu[40:90, 60:200] = 40
    burn_in(hu, "R", np.random.default_rng(0))
    board = letter_board(measure(image(hu), SQUARE, fit="pad")[None])[0]
    assert board[2].any()
    assert not board[:2].any()
    squashed = letter_board(measure(image(hu), SQUARE, fit="squash")[None])[0]
    assert squashed[:2].any()


def test_no_letters_leave_the_board_empty() -> None:
    assert not letter_board(measure(image(np.eye(64, dtype=np.float32)), SQUARE, fit="squash")[None]).any()
