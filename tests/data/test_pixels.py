from __future__ import annotations

import numpy as np
import pytest

from overread.data.pixels import MAX_PIXELS, Header, Lut, check_frame, check_size, check_values, cut_short
from overread.errors import ImageError


def test_nobody_is_named_in_a_printed_header() -> None:
    header = Header(
        format="dicom", n_frames=1, rows=2, columns=2, scale="hu", patient="Doe", study="1.2", series="1.3",
        instance="1.4",
    )  # fmt: skip
    assert repr(header).startswith("Header(format='dicom', n_frames=1, rows=2, columns=2, scale='hu', tags=")


def test_a_table_takes_its_ends_for_values_beyond_them() -> None:
    lut = Lut(first=-2, entries=np.array([0, 10, 20, 30], np.float32))
    assert lut(np.array([-100, -2, -1, 0.4, 1, 500])).tolist() == [0, 0, 10, 20, 30, 30]


@pytest.mark.parametrize(
    ("rows", "columns", "kind"),
    [
        (0, 5, "zero-size"),
        (5, 0, "zero-size"),
        (-1, 5, "zero-size"),
        (60_000, 60_000, "bomb"),
        (1, MAX_PIXELS + 1, "bomb"),
    ],
)
def test_sizes_that_are_refused(rows: int, columns: int, kind: str) -> None:
    with pytest.raises(ImageError, match=r"x\.dcm .*\d+ x -?\d+") as refused:
        check_size("x.dcm", rows, columns)
    assert refused.value.kind == kind


def test_the_largest_size_passes() -> None:
    check_size("x", 1, MAX_PIXELS)
    check_size("x", 1, 1)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_frame_that_is_not_there(index: int) -> None:
    check_frame("x", 2, 3)
    with pytest.raises(ImageError, match="it has 3, counted from 0"):
        check_frame("x", index, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_counted(value: float) -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    check_values("x", pixels, 0)
    pixels[1, 1:3] = value
    with pytest.raises(ImageError, match="frame 5, has 2 values that are no numbers") as refused:
        check_values("x", pixels, 5)
    assert refused.value.kind == "nan"


@pytest.mark.parametrize("pixels", [np.full((4, 4), 7, np.uint8), np.tile(np.array([1, 2, 3], np.uint8), (4, 4, 1))])
def test_an_image_of_one_value_or_one_colour_shows_nothing(pixels: np.ndarray) -> None:
    with pytest.raises(ImageError, match="shows nothing") as refused:
        check_values("x", pixels, 0)
    assert refused.value.kind == "constant"


def test_a_file_that_is_cut_short_is_told_what_was_found() -> None:
    error = cut_short("x.png", "its end mark is not there")
    assert (error.kind, str(error)) == (
        "truncated",
        "x.png is cut short or damaged: its end mark is not there. Copy it again from its source.",
    )
