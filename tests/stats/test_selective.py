from __future__ import annotations

import numpy as np
import pytest

from overread.stats.selective import risk_coverage


def test_curve_by_hand() -> None:
    # surest first: right, wrong, right, wrong
    found = risk_coverage([True, False, True, False], [0.6, 0.9, 0.8, 0.7])
    assert found.coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert found.best == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert found.excess == pytest.approx(1 / 8)


def test_the_best_order_has_no_excess() -> None:
    wrong = np.arange(50) >= 44
    found = risk_coverage(wrong, -np.arange(50))
    assert found.excess == pytest.approx(0)
    assert found.risk[-1] == pytest.approx(6 / 50)


def test_the_best_area_is_near_the_formula_of_its_paper() -> None:
    # Geifman, Uziel & El-Yaniv (2019), equation 4: e + (1 - e) ln(1 - e) for error rate e and many images
    wrong = np.arange(20_000) < 4000
    found = risk_coverage(wrong, np.zeros(20_000))
    assert found.best == pytest.approx(0.2 + 0.8 * np.log(0.8), abs=2e-4)


def test_equal_certainty_is_the_mean_of_all_orders() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(12) < 0.4
    sure = np.repeat([3.0, 2.0, 1.0], 4)
    orders = [risk_coverage(wrong, sure + 0.1 * rng.random(12)).area for _ in range(4000)]
    assert risk_coverage(wrong, sure).area == pytest.approx(np.mean(orders), abs=0.003)
    assert risk_coverage(wrong, np.zeros(12)).area == pytest.approx(wrong.mean())


def test_copies_of_a_patients_image_change_nothing_at_the_end() -> None:
    wrong, sure = np.array([True, False, False]), np.array([0.2, 0.5, 0.9])
    copies = np.array([0, 0, 0, 0, 1, 2])
    once, again = risk_coverage(wrong, sure), risk_coverage(wrong[copies], sure[copies], list(copies))
    assert again.risk[-1] == pytest.approx(once.risk[-1])
    assert again.coverage[:2] == pytest.approx([1 / 3, 2 / 3])
    assert again.area < wrong[copies].mean()


@pytest.mark.parametrize("wrong", [True, False])
def test_all_wrong_or_all_right_has_no_excess(wrong) -> None:
    found = risk_coverage([wrong] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (found.area, found.excess) == (wrong, 0)


def test_no_image_has_no_curve() -> None:
    with pytest.raises(ValueError, match="no images"):
        risk_coverage([], [])
