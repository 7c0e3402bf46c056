from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tests.audit.conftest import picture

from overread.audit.nearby import POSITIONS, candidates, put
from overread.audit.twins import Twins, find_twins
from overread.audit.views import SIDE, take_views
from overread.data.alike import hash_waves

N = 30
Pixels = NDArray[np.uint8]


def twins_of(images: list[Pixels]) -> Twins:
    colour = [np.repeat(image[..., None], 3, axis=-1) for image in images]
    return find_twins(take_views(colour, len(colour)), lambda at: colour[at])


def jpeg(image: Pixels) -> Pixels:
    held = io.BytesIO()
    Image.fromarray(image).save(held, "JPEG", quality=30)
    return np.asarray(Image.open(held))


def resized(image: Pixels) -> Pixels:
    half = Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC)
    return np.asarray(half.resize((224, 224), Image.Resampling.BILINEAR))


def windowed(image: Pixels) -> Pixels:
    return ((image.astype(float) - 40) / 180 * 255).clip(0, 255).astype(np.uint8)


def written_on(image: Pixels) -> Pixels:
    shown = Image.fromarray(image)
    ImageDraw.Draw(shown).text((8, 8), "R 12/03", fill=255, font_size=18)
    return np.asarray(shown)


def framed(image: Pixels) -> Pixels:
    frame = Image.new("L", (270, 270), 0)
    frame.paste(Image.fromarray(image), (23, 23))
    return np.asarray(frame.resize((224, 224), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("change", [jpeg, resized, windowed, written_on, framed])
def test_changed_copies_are_found_and_nothing_else(change: Callable[[Pixels], Any]) -> None:
    images = [picture(seed, size=224) for seed in range(N)]
    found = twins_of(images + [change(image) for image in images])
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert all(second - first == N for first, second in pairs)
    assert len(pairs) >= 0.9 * N


@pytest.mark.parametrize("position", range(len(POSITIONS)))
def test_each_position_is_found_and_told(position: int) -> None:
    images = [picture(seed) for seed in range(N)]
    found = twins_of(images + [put(image, position) for image in images])
    assert len(found) == N
    for first, second, told in zip(found.first, found.second, found.position, strict=True):
        turned_back = put(put(images[first], position), int(told))
        assert second - first == N
        np.testing.assert_array_equal(turned_back, images[first])


def test_exact_copies_are_told_from_near_ones() -> None:
    one, other = picture(1), picture(2)
    nearly = np.clip(other.astype(int) + 1, 0, 255).astype(np.uint8)
    found = twins_of([one, other, one.copy(), nearly])
    assert list(zip(found.first.tolist(), found.second.tolist(), found.is_exact.tolist(), strict=True)) == [
        (0, 2, True),
        (1, 3, False),
    ]


def test_blank_images_have_no_twins() -> None:
    assert len(twins_of([np.full((64, 64), 7, np.uint8)] * 5)) == 0


def test_no_image_no_pair() -> None:
    assert len(twins_of([])) == 0


def test_every_pair_within_sixteen_bits_is_a_candidate() -> None:
    rng = np.random.default_rng(0)
    images = np.stack([picture(seed, size=SIDE) for seed in range(200)])
    near = np.clip(images.astype(int) + rng.integers(-6, 7, images.shape), 0, 255).astype(np.uint8)
    found = {
        tuple(sorted(pair))
        for one, other, position in candidates(np.concatenate([images, near]))
        if position == 0
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    }
    bits = np.bitwise_count(hash_waves(images) ^ hash_waves(near)).sum(axis=1)
    within = np.flatnonzero(bits <= 16)
    assert len(within) > 20
    assert {(at, at + 200) for at in within.tolist()} <= found


def test_a_crowd_of_equal_images_costs_no_square() -> None:
    crowd = [np.clip(picture(0).astype(int) + at % 7, 0, 255).astype(np.uint8) for at in range(600)]
    assert 600 <= len(twins_of(crowd)) < 600 * 599 / 2
