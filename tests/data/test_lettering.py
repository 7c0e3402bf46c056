from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from overread.data.lettering import Letters, find_letters
from overread.data.phantom.scanner import burn_in

NOTHING = Letters(n=0, shape=0)


def head(side: int = 256, *, noise_hu: float = 6) -> NDArray[np.float32]:
    """A skull of 1200 HU around a brain of 35 HU in noisy air: (side, side) float32."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    radius = np.hypot(y * 1.1, x * 1.3)
    hu = np.where(radius < 0.44, 35.0, -1000.0)
    hu[(radius > 0.40) & (radius < 0.43)] = 1200
    return (hu + np.random.default_rng(0).normal(0, noise_hu, hu.shape)).astype(np.float32)


def find(pixels: NDArray[np.generic]) -> Letters:
    return find_letters(pixels, contrast=float(np.percentile(pixels, 99) - pixels.min()))


@pytest.mark.parametrize("side", [128, 256, 512, 2048])
@pytest.mark.parametrize("letter", ["L", "R", "P"])
def test_a_letter_in_the_corner_is_seen_at_any_size_bright_or_dark(side: int, letter: str) -> None:
    pixels = head(side)
    burn_in(pixels, letter, np.random.default_rng(1))
    seen = find(pixels)
    assert seen.n == 1
    assert find(-pixels) == seen


def test_letters_are_told_from_each_other_wherever_they_stand() -> None:
    shapes = {}
    for letter in "LRP":
        found = set()
        for seed in range(5):
            pixels = head()
            burn_in(pixels, letter, np.random.default_rng(seed))
            found.add(find(pixels).shape)
        (shapes[letter],) = found
    assert len(set(shapes.values())) == 3


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_side_is_looked_at(turns: int) -> None:
    pixels = head()
    burn_in(pixels, "R", np.random.default_rng(0))
    assert find(np.rot90(pixels, turns)).n == 1


def test_a_line_of_text_in_a_jpeg_is_seen() -> None:
    picture = Pillow.fromarray(((head(512).clip(-60, 140) + 60) * 255 / 200).astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(picture).text((8, 8), "MAGEN", fill=(255, 255, 0), font_size=18)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    seen = np.asarray(Pillow.open(file))
    assert find(seen).n >= 3
    assert find(255 - seen).n >= 3


def test_a_white_line_on_black_and_a_black_line_on_white_in_one_frame_are_both_seen() -> None:
    picture = Pillow.new("L", (512, 512))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 256, 512, 512), fill=255)
    draw.text((8, 8), "HANS", fill=255, font_size=18)
    draw.text((8, 480), "HANS", fill=0, font_size=18)
    found = find(np.asarray(picture))
    assert found.n == 8
    assert [top < 256 for top, _, _, _ in found.boxes] == [True] * 4 + [False] * 4


def test_a_head_alone_has_no_letters() -> None:
    assert find(head()) == NOTHING
    assert find(head(noise_hu=60)) == NOTHING
    assert find(-head()) == NOTHING
    assert find(-head(noise_hu=60)) == NOTHING


def test_straps_dots_and_blobs_are_no_letters() -> None:
    y, x = np.mgrid[:256, :256]
    for shape in (
        (y > 10) & (y < 30) & (np.abs(x - y / 2 - 20) < 4),  # a slanted strap
        np.hypot(y - 20, x - 20) < 8,  # a rod
        (y > 12) & (y < 15) & (x > 20) & (x < 200),  # a table
        (np.abs(y - 20) < 2) & (np.abs(x - 20) < 2),  # a wire, seen from its end
    ):
        pixels = head()
        pixels[shape] = 1500
        assert find(pixels) == NOTHING
        assert find(-pixels) == NOTHING


@pytest.mark.parametrize("shape", [(4, 4), (28, 28), (1, 300), (300, 7)])
def test_small_and_narrow_frames_have_no_letters(shape: tuple[int, int]) -> None:
    assert find(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)) == NOTHING


@pytest.mark.parametrize("seed", range(8))
def test_marks_of_any_small_shape_are_looked_at(seed: int) -> None:
    """Hooks of every width and height from one pixel on, all of them in the corners of one frame."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((256, 256), np.uint8)
    for top in range(3, 48, 18):
        for left in range(3, 250, 18):
            height, width = rng.integers(1, 15, 2)
            mark = pixels[top : top + height, left : left + width]
            mark[:, 0] = mark[rng.integers(height)] = 255
            mark[rng.random(mark.shape) < 0.05] = 255
    for turns in range(4):
        found = find(np.rot90(pixels, turns))
        assert 0 <= found.shape < 2**24
        assert len(found.boxes) == found.n


@pytest.mark.parametrize("width", [2, 3, 4])
def test_narrow_letters_are_seen_and_told_from_each_other(width: int) -> None:
    shapes = set()
    for foot in (0, 5):
        pixels = head()
        pixels[12:18, 12] = pixels[12 + foot, 12 : 12 + width] = 1500
        found = find(pixels)
        assert found.n == 1
        shapes.add(found.shape)
    assert len(shapes) == 2
