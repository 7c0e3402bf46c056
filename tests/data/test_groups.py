from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from overread.data.groups import cohort_groups, join_pairs
from overread.data.rows import Cohort, Row


def cohort(*rows: Row) -> Cohort:
    return Cohort(root=Path(), rows=rows, classes=("x",))


def row(at: int, **who: str) -> Row:
    return Row(path=f"{at}.png", label="x", **who)


def test_pairs_connect_through_others() -> None:
    assert join_pairs(6, [(5, 4), (4, 1), (0, 3)]).tolist() == [0, 1, 2, 0, 1, 1]
    assert join_pairs(0, []).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_the_connected_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    pairs = rng.integers(n, size=(int(rng.integers(0, 40)), 2))
    reach = np.eye(n, dtype=bool)
    for first, second in pairs:
        reach[first, second] = reach[second, first] = True
    for _ in range(n):
        reach = reach @ reach
    groups = join_pairs(n, [(int(first), int(second)) for first, second in pairs])
    assert ((groups[:, None] == groups[None]) == reach).all()


def test_a_known_patient_is_a_group_whatever_looks_alike() -> None:
    rows = [row(0, patient="P1"), row(1, patient="P2"), row(2, patient="P1"), row(3, patient="P3", series="S")]
    assert cohort_groups(cohort(*rows), np.array([0, 0, 1, 2])).tolist() == [0, 1, 0, 2]


def test_a_series_without_a_patient_stays_together() -> None:
    rows = [
        row(0, series="S1"),
        row(1, series="S2"),
        row(2, series="S1"),
        row(3),
        row(4, study="T"),
        row(5, study="T"),
    ]
    assert cohort_groups(cohort(*rows)).tolist() == [0, 1, 0, 2, 3, 3]


def test_images_without_a_patient_go_with_those_they_look_like() -> None:
    rows = [row(0), row(1), row(2, patient="P1"), row(3, patient="P1"), row(4, patient="P2"), row(5, patient="P3")]
    assert cohort_groups(cohort(*rows), np.array([0, 0, 0, 1, 2, 2])).tolist() == [0, 0, 0, 0, 1, 2]


def test_an_unknown_row_joins_the_patient_of_its_series() -> None:
    rows = [row(0, patient="P1", series="S"), row(1, series="S"), row(2, patient="P2")]
    assert cohort_groups(cohort(*rows)).tolist() == [0, 0, 1]
