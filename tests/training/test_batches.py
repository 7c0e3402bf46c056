from __future__ import annotations

import numpy as np
import pytest
import torch

from overread.training.batches import (
    Normaliser,
    Part,
    augment,
    batch_bounds,
    epoch_generator,
    in_order,
    shuffled,
)


@pytest.fixture
def part() -> Part:
    pixels = np.zeros((20, 4, 4, 3), np.uint8)
    pixels[:] = np.arange(20, dtype=np.uint8)[:, None, None, None]
    indices = np.arange(1, 20, 2)
    return Part(pixels=pixels, indices=indices, labels=indices % 3)


def test_a_pass_sees_every_image_of_its_part_once_with_its_label(part: Part) -> None:
    seen = []
    for chosen in shuffled(len(part), batch_size=3, generator=epoch_generator(0, 0)):
        images = part.batch(chosen)
        assert images.shape[1:] == (3, 4, 4)
        assert (images[:, 0, 0, 0] % 3).tolist() == part.labels[chosen].tolist()
        seen += images[:, 0, 0, 0].tolist()
    assert sorted(seen) == part.indices.tolist()
    assert seen != part.indices.tolist()


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = shuffled(10, batch_size=4, generator=epoch_generator(seed, epoch))
        return [place for chosen in batches for place in chosen.tolist()]

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(1, 6)
    assert order(1, 5) != order(2, 5)
    assert order(0, 1) != order(1, 0)


def test_in_order_keeps_the_order() -> None:
    assert [chosen.tolist() for chosen in in_order(5, batch_size=2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("n", "size", "expected"),
    [(6, 3, [(0, 3), (3, 6)]), (7, 3, [(0, 3), (3, 7)]), (8, 3, [(0, 3), (3, 6), (6, 8)]), (1, 3, [(0, 1)])],
)
def test_no_batch_but_the_only_one_holds_one_image(n: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert batch_bounds(n, size) == expected


def test_normaliser_centres_and_scales_by_channel() -> None:
    normalise = Normaliser((0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    found = normalise(torch.full((1, 3, 2, 2), 0.5))
    assert found[0, :, 0, 0].tolist() == [0.0, 1.0, 0.25]


def test_augmentation_stays_in_range_and_repeats_with_its_generator() -> None:
    images = torch.rand((8, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    once = augment(images, flip=False, generator=epoch_generator(3, 1))
    again = augment(images, flip=False, generator=epoch_generator(3, 1))
    other = augment(images, flip=False, generator=epoch_generator(3, 2))
    assert once.shape == images.shape
    assert 0 <= float(once.min()) <= float(once.max()) <= 1
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("flip", [False, True])
def test_left_stays_left_unless_a_mirror_is_asked_for(flip: bool) -> None:
    images = torch.zeros((64, 3, 32, 32))
    images[:, :, :, :8] = 0.5  # bright on the left, far beyond any shift
    found = augment(images, flip=flip, generator=epoch_generator(0, 0))
    left, right = found[:, 0, 12:20, :12].mean(dim=(1, 2)), found[:, 0, 12:20, 20:].mean(dim=(1, 2))
    mirrored = int((right > left).sum())
    assert 16 < mirrored < 48 if flip else mirrored == 0


def test_augmentation_does_not_touch_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    augment(torch.rand((2, 3, 8, 8), generator=epoch_generator(0, 0)), flip=True, generator=epoch_generator(0, 0))
    assert torch.equal(before, torch.random.get_rng_state())
