from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.report.heat import Told, heat_sheet, overlay

GREY = np.full((100, 100), 90, np.uint8)


def blob(rows: int = 100, columns: int = 100, *, at: tuple[float, float] = (0.3, 0.7)) -> NDArray[np.float32]:
    y, x = np.mgrid[:rows, :columns]
    far = ((y / rows - at[0]) ** 2 + (x / columns - at[1]) ** 2) / 0.08
    return np.exp(-far).astype(np.float32) - 0.1


def opened(png: bytes) -> NDArray[np.uint8]:
    with Pillow.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def coloured(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.ptp(pixels.astype(int), axis=-1) > 40


def test_colour_lies_where_the_evidence_is_and_nowhere_else() -> None:
    found = overlay(GREY, blob())
    assert (found[blob() < -0.05] == 90).all()
    rows, columns = np.nonzero(coloured(found))
    assert abs(rows.mean() - 30) < 3
    assert abs(columns.mean() - 70) < 3


def test_the_line_runs_around_the_chosen_share() -> None:
    heat = blob()
    for quantile in (0.8, 0.95):
        line = (overlay(GREY, heat, quantile=quantile) == 255).all(axis=-1)
        inside = heat >= np.quantile(heat, quantile)
        assert line.any()
        assert heat[line].min() > np.quantile(heat, quantile - 0.06)
        assert heat[line].max() < np.quantile(heat, quantile + 0.045)
        assert inside.mean() == pytest.approx(1 - quantile, abs=0.01)


def test_without_evidence_nothing_is_drawn() -> None:
    assert (overlay(GREY, -np.ones((100, 100), np.float32)) == 90).all()


def test_the_sheet_holds_the_image_alone_and_covered() -> None:
    image = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    sheet = opened(heat_sheet(image, blob(), Told(title="tumor (0.90)")))
    left, right = sheet[:, 24 : 24 + 384], sheet[:, 24 + 384 + 20 : 24 + 2 * 384 + 20]
    assert not coloured(left).any()
    assert coloured(right).mean() > 0.02


def test_a_withheld_map_shows_nothing_of_it() -> None:
    sheet = opened(heat_sheet(GREY, None, Told(title="tumor (0.90)")))
    assert not coloured(sheet[:, 428:812]).any()


def test_words_over_a_map_that_failed_lie_on_the_map() -> None:
    plain = opened(heat_sheet(GREY, blob(), Told(title="a")))
    failed = opened(heat_sheet(GREY, blob(), Told(title="a", failed="This map did not pass its controls")))
    assert plain.shape == failed.shape
    columns = np.nonzero((plain != failed).any(axis=(0, 2)))[0]
    assert columns.min() >= 428
    assert columns.max() <= 428 + 384


def test_what_is_said_makes_room_for_itself() -> None:
    bare = opened(heat_sheet(GREY, blob(), Told(title="a")))
    told = Told(
        title="No answer: cannot tell tumor and cancer apart",
        lines=("A sentence that is long enough to need more than one line on this sheet. " * 4,),
        probabilities={"tumor": 0.5, "cancer": 0.4, "aneurysm": 0.1},
        marks=("split by image",),
        like=((GREY, "tumor, 1a2b3c4d"), (None, "cancer")),
        toward="L/P",
    )
    full = opened(heat_sheet(GREY, blob(), told))
    assert full.shape[0] > bare.shape[0] + 250
    assert full.shape[1] == bare.shape[1]


def test_bars_that_are_no_answer_are_hatched_below_words_that_say_so() -> None:
    told = Told(title="No answer", probabilities={"tumor": 0.99, "cancer": 0.01})
    plain = opened(heat_sheet(GREY, None, told))
    unsure = opened(heat_sheet(GREY, None, replace(told, caveat="What the network says, not to be relied on:")))
    assert unsure.shape[0] > plain.shape[0]
    assert coloured(plain[-120:]).any()
    assert not coloured(unsure[-145:]).any()
    (bar,) = [row for row in unsure[-145:].min(axis=-1) if (np.diff(row < 140) != 0).sum() > 80][:1]
    assert bar.max() == 255


@pytest.mark.parametrize("shape", [(8, 8), (300, 40), (40, 300), (1, 5), (900, 1200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_shape_of_image(shape: tuple[int, int], channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, channels)).astype(np.uint8)
    image = image[..., 0] if channels == 1 else image
    sheet = opened(heat_sheet(image, blob(*shape), Told(title="a", toward="L/F")))
    assert sheet.shape[1] < 1800


def test_long_names_and_many_classes_stay_on_the_sheet_and_it_is_the_same_each_time() -> None:
    names = [f"class {i} {'with a very long name ' * 8}" for i in range(11)] + ["肺炎 ✓ ü"]
    told = Told(title=names[0] * 3, probabilities=dict.fromkeys(names, 1 / 12), covered=names[0] * 2)
    first = heat_sheet(GREY, blob(), told)
    assert first == heat_sheet(GREY, blob(), told)
    sheet = opened(first)
    assert (sheet[:, -10:] == 255).all()  # nothing runs over the right margin
