from __future__ import annotations

import numpy as np
import pytest

from overread.evaluate.lost import auroc_lost


def scores(of_second: list[float]) -> np.ndarray:
    second = np.asarray(of_second)
    return np.stack([1 - second, second], axis=1)


TRUTH = np.array([0, 0, 0, 1, 1, 1])
RIGHT = scores([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
ONE_SWAP = scores([0.1, 0.2, 0.75, 0.7, 0.8, 0.9])
"""one of nine pairs in the wrong order"""
WHO = [f"p{i}" for i in range(6)]


def lost(before: np.ndarray, after: np.ndarray, patients: list[str | None] = WHO):  # type: ignore[assignment, no-untyped-def]
    rng = np.random.default_rng(0)
    return auroc_lost(TRUTH, before, after, patients, classes=("a", "b"), part="val", rng=rng)


def test_what_is_lost_is_the_difference_of_the_two_areas() -> None:
    found = lost(RIGHT, ONE_SWAP)
    assert found.value == pytest.approx(1 / 9)
    assert found.low <= 1 / 9 <= found.high
    assert (found.n_images, found.n_patients, found.part) == (6, 6, "val")
    assert lost(ONE_SWAP, RIGHT).value == pytest.approx(-1 / 9)


def test_the_same_answers_lose_nothing_and_surely() -> None:
    found = lost(RIGHT, RIGHT)
    assert found.value == found.low == found.high == 0


def test_without_patients_the_images_are_drawn_and_it_says_so() -> None:
    found = lost(RIGHT, ONE_SWAP, [None] * 6)
    assert found.n_patients is None
    assert "by image" in found.method
