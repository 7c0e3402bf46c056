from __future__ import annotations

import numpy as np
import pytest

from overread.data.divide import divide_groups, divide_images, groups_by_class


@pytest.mark.parametrize("seed", range(100))
def test_images_are_divided_in_exact_sizes_and_in_proportion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_classes, n = int(rng.integers(2, 6)), int(rng.integers(40, 400))
    labels = np.concatenate([np.repeat(np.arange(n_classes), 3), rng.integers(n_classes, size=n)])
    n_val, n_test = (int(size) for size in rng.integers(n_classes + 3, max(n_classes + 4, n // 4), size=2))
    sizes = (len(labels) - n_val - n_test, n_val, n_test)
    parts = divide_images(labels, sizes, np.random.default_rng(seed))
    assert np.bincount(parts, minlength=3).tolist() == list(sizes)
    table = np.zeros((n_classes, 3))
    np.add.at(table, (labels, parts), 1)
    assert (table > 0).all()
    assert (np.abs(table - np.outer(np.bincount(labels), sizes) / len(labels)) <= 2).all()


def test_the_papers_split_of_259_images() -> None:
    labels = np.repeat([0, 1, 2], [84, 91, 84])
    parts = divide_images(labels, (207, 25, 27), np.random.default_rng(0))
    table = np.zeros((3, 3), int)
    np.add.at(table, (labels, parts), 1)
    assert table.tolist() == [[67, 8, 9], [73, 9, 9], [67, 8, 9]]


@pytest.mark.parametrize("seed", range(60))
def test_groups_stay_whole_and_every_class_is_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_classes, n_groups = int(rng.integers(2, 5)), int(rng.integers(15, 80))
    own = np.concatenate([np.repeat(np.arange(n_classes), 3), rng.integers(n_classes, size=n_groups)])
    sizes = rng.geometric(0.2, size=len(own))
    groups = np.repeat(np.arange(len(own)), sizes)
    labels = np.where(rng.random(len(groups)) < 0.1, rng.integers(n_classes, size=len(groups)), own[groups])
    shares = np.array([0.7, 0.15, 0.15])
    parts = divide_groups(groups, labels, shares.tolist(), np.random.default_rng(seed))
    assert all(len(set(parts[groups == group].tolist())) == 1 for group in range(len(own)))
    assert len(np.unique(np.stack([labels, parts]), axis=1).T) == 3 * len(np.unique(labels))
    off = np.abs(np.bincount(parts, minlength=3) - shares * len(parts))
    assert off.max() <= max(sizes.max(), 0.05 * len(parts))


def test_three_groups_a_class_are_enough() -> None:
    for seed in range(20):
        labels = np.array([0, 0, 0, 0, 0, 1, 1, 1])
        groups = np.array([0, 0, 0, 1, 2, 3, 4, 5])
        parts = divide_groups(groups, labels, (0.7, 0.15, 0.15), np.random.default_rng(seed))
        assert len(set(zip(labels.tolist(), parts.tolist(), strict=True))) == 6


def test_many_groups_are_divided_in_a_moment() -> None:
    groups = np.arange(30_000)
    parts = divide_groups(groups, groups % 3, (0.7, 0.15, 0.15), np.random.default_rng(0))
    assert np.abs(np.bincount(parts) - [21_000, 4_500, 4_500]).max() <= 3


def test_a_large_group_does_not_fill_a_small_part() -> None:
    groups = np.concatenate([np.zeros(50, int), np.arange(1, 51)])
    parts = divide_groups(groups, np.arange(100) % 2, (0.7, 0.15, 0.15), np.random.default_rng(3))
    assert (parts[:50] == 0).all()
    assert np.bincount(parts).tolist() == pytest.approx([70, 15, 15], abs=6)


def test_groups_are_counted_once_a_class() -> None:
    groups, labels = np.array([0, 0, 1, 2, 2]), np.array([0, 0, 0, 1, 0])
    assert groups_by_class(groups, labels, 3).tolist() == [3, 1, 0]
