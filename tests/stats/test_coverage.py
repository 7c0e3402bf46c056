from __future__ import annotations

import math

import numpy as np
import pytest

from overread.stats.coverage import set_report
from overread.stats.intervals import wilson

SETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool)


def test_figures_by_hand() -> None:
    found = set_report([0, 1, 0, 2, 2], SETS)
    assert found.coverage.value == 3 / 5
    assert (found.coverage.low, found.coverage.high) == wilson(3, 5)
    assert [one.value for one in found.coverage_by_class] == [1 / 2, 1, 1 / 2]
    assert (found.size.value, found.single.value, found.empty.value) == pytest.approx((7 / 5, 2 / 5, 1 / 5))


def test_every_patient_counts_the_same() -> None:
    found = set_report([0, 1, 0, 2, 2], SETS, ["a", "a", "a", "b", "b"])
    assert found.coverage.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.size.value == pytest.approx((4 / 3 + 3 / 2) / 2)
    assert found.coverage.n_patients == 2
    assert [one.n_patients for one in found.coverage_by_class] == [1, 1, 1]


def test_a_class_without_images_has_no_coverage() -> None:
    found = set_report([0, 0], SETS[:2])
    assert math.isnan(found.coverage_by_class[2].value)
    assert found.coverage_by_class[0].value == 1
    assert found.coverage_by_class[2].n_images == 0


def test_sets_that_never_err_still_leave_doubt() -> None:
    found = set_report(np.zeros(30, int), np.tile([True, False], (30, 1)))
    assert found.coverage.value == 1
    assert found.coverage.low == pytest.approx(wilson(30, 30)[0])
    assert found.single.value == 1
