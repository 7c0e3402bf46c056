from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels

from overread.stats.intervals import delong, delong_areas
from overread.stats.metrics import auroc
from overread.stats.paired import delong_test, mcnemar, mcnemar_clustered, resampled_t, swap_test


def answers(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of two models was right, from the four counts."""
    a = np.repeat([True, True, False, False], [both, first, second, neither])
    b = np.repeat([True, False, True, False], [both, first, second, neither])
    return a, b


def scores(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two models that agree in part, with ties, the first the better one."""
    rng = np.random.default_rng(seed)
    ill = np.arange(n) % 3 == 0
    common = rng.normal(size=n) + ill
    return ill, np.round(common + 0.5 * rng.normal(size=n) + 0.5 * ill, 1), np.round(common + rng.normal(size=n), 1)


def placement_covariance(ill: np.ndarray, models: list[np.ndarray]) -> np.ndarray:
    """DeLong's covariance by its definition, a comparison of each pair of images at a time."""

    def win(x: float, y: float) -> float:
        return 0.5 if x == y else float(x > y)

    up = np.array([[np.mean([win(x, y) for y in s[~ill]]) for x in s[ill]] for s in models])
    down = np.array([[np.mean([win(x, y) for x in s[ill]]) for y in s[~ill]] for s in models])
    return np.cov(up) / ill.sum() + np.cov(down) / (~ill).sum()


@pytest.mark.parametrize("seed", range(3))
def test_covariance_of_two_areas_is_that_of_the_definition(seed) -> None:
    ill, a, b = scores(seed)
    areas = delong_areas(ill, np.stack([a, b]))
    assert areas.value == pytest.approx([auroc(ill, a), auroc(ill, b)])
    assert areas.covariance == pytest.approx(placement_covariance(ill, [a, b]))
    assert areas.n_patients == (20, 40)
    assert delong(ill, b) == pytest.approx((areas.value[1], areas.covariance[1, 1]))


def test_areas_without_a_side_or_with_one_patient_have_no_covariance() -> None:
    nothing = delong_areas([True, True], [[0.1, 0.2], [0.3, 0.1]])
    assert np.isnan(nothing.value).all()
    one = delong_areas([True, True, False, False], [[4, 3, 2, 1], [1, 2, 3, 4]], ["a", "a", "b", "c"])
    assert one.value.tolist() == [1, 0]
    assert np.isnan(one.covariance).all()
    assert one.n_patients == (1, 2)


def test_a_model_that_gave_nan_has_no_area() -> None:
    areas = delong_areas([True, True, False, False], [[0.9, math.nan, 0.2, 0.1], [0.9, 0.8, 0.2, 0.3]])
    assert math.isnan(areas.value[0])
    assert areas.value[1] == 1
    assert math.isnan(delong_test([True, True, False, False], [0.9, math.nan, 0.2, 0.1], [0.9, 0.8, 0.2, 0.3]).p)


def test_delong_by_definition() -> None:
    ill, a, b = scores(4)
    cov = placement_covariance(ill, [a, b])
    found = delong_test(ill, a, b)
    assert found.difference == pytest.approx(auroc(ill, a) - auroc(ill, b))
    assert found.standard_error == pytest.approx(math.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]))
    assert found.degrees == 19
    low, high = found.interval()
    assert low < found.difference < high
    assert (found.p < 0.05) == (not low <= 0 <= high)


def test_the_two_models_may_be_swapped() -> None:
    ill, a, b = scores(5)
    one, other = delong_test(ill, a, b), delong_test(ill, b, a)
    assert one.p == pytest.approx(other.p)
    assert one.interval() == pytest.approx(tuple(-x for x in other.interval()[::-1]))


def test_copies_of_every_image_are_no_evidence() -> None:
    ill, a, b = scores(6)
    patients = list(range(60)) * 3
    once, again = delong_test(ill, a, b), delong_test(np.tile(ill, 3), np.tile(a, 3), np.tile(b, 3), patients)
    assert again.p == pytest.approx(once.p)
    assert again.interval() == pytest.approx(once.interval())
    assert delong_test(np.tile(ill, 3), np.tile(a, 3), np.tile(b, 3)).p < once.p


def test_a_model_against_itself_does_not_differ() -> None:
    ill, a, _ = scores(0)
    assert delong_test(ill, a, a).p == 1
    assert swap_test(ill, a, a, rng=np.random.default_rng(0)).p == 1
    assert delong_test(ill, a, np.exp(a)).p == 1


def test_two_perfect_models_do_not_differ_and_a_perfect_one_beats_its_opposite_without_a_test() -> None:
    ill = np.arange(20) < 8
    assert delong_test(ill, ill, 2.0 * ill).p == 1
    against = delong_test(ill, ill, ~ill)
    assert against.difference == 1
    assert math.isnan(against.p)
    assert math.isnan(against.interval()[0])
    assert swap_test(ill, ill, ~ill, rng=np.random.default_rng(0)).p < 0.02


def test_swaps_are_all_those_of_a_small_sample() -> None:
    ill = np.array([True, True, True, False, False, False, False])
    a, b = np.array([7.0, 6, 4, 5, 3, 2, 1]), np.array([2.0, 7, 3, 6, 1, 5, 4])
    seen, gaps = auroc(ill, a) - auroc(ill, b), []
    for swap in itertools.product([False, True], repeat=7):
        mixed = np.where(swap, b, a), np.where(swap, a, b)
        gaps.append(abs(auroc(ill, mixed[0]) - auroc(ill, mixed[1])) >= abs(seen) - 1e-12)
    found = swap_test(ill, a, b, rng=np.random.default_rng(0), n_swaps=20_000)
    assert found.p == pytest.approx(np.mean(gaps), abs=0.01)


def test_swaps_agree_with_scipy() -> None:
    ill, a, b = scores(7)
    ranks = [np.argsort(np.argsort(x + 1e-9 * np.arange(60))) for x in (a, b)]
    ours = swap_test(ill, *ranks, rng=np.random.default_rng(0), n_swaps=9999)
    theirs = permutation_test(
        ranks, lambda x, y: auroc(ill, x) - auroc(ill, y), permutation_type="samples", n_resamples=9999, rng=1
    )
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.02)


def test_swaps_keep_patients_whole() -> None:
    ill, a, b = scores(8)
    patients = list(range(60)) * 4
    once = swap_test(ill, a, b, rng=np.random.default_rng(0), n_swaps=4999)
    again = swap_test(
        np.tile(ill, 4), np.tile(a, 4), np.tile(b, 4), rng=np.random.default_rng(1), patients=patients, n_swaps=4999
    )
    assert again.p == pytest.approx(once.p, abs=0.03)


def test_swaps_need_both_sides() -> None:
    found = swap_test([True, True], [0.1, 0.2], [0.2, 0.3], rng=np.random.default_rng(0))
    assert math.isnan(found.p)
    assert "either side are missing" in found.test


def test_mcnemar_agrees_with_printed_figures() -> None:
    # Fagerland, Lydersen & Laake (2013): airway hyper-responsiveness before and after a transplant,
    # 1 and 7 discordant of 21; mid-p 0.039
    assert mcnemar(*answers(1, 1, 7, 12)).p == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize(("first", "second"), [(1, 7), (10, 3), (0, 5), (40, 25)])
def test_mcnemar_is_the_exact_test_of_statsmodels_less_half_a_point(first, second) -> None:
    exact = mcnemar_of_statsmodels([[20, first], [second, 9]], exact=True).pvalue
    n = first + second
    assert mcnemar(*answers(20, first, second, 9)).p == pytest.approx(exact - math.comb(n, first) / 2**n)


def test_mcnemar_of_models_that_never_or_evenly_differ() -> None:
    assert mcnemar(*answers(20, 0, 0, 9)).p == 1
    assert mcnemar(*answers(20, 4, 4, 9)).p == 1


def test_mcnemar_by_patient_counts_every_change_of_sides() -> None:
    # patients' sums of gaps: 2, 1, -1
    first = [True, True, True, False, True]
    second = [False, False, False, True, True]
    sums = [sum(s) for s in itertools.product((2, -2), (1, -1), (1, -1))]
    expected = np.mean([abs(s) > 2 for s in sums]) + np.mean([abs(s) == 2 for s in sums]) / 2
    assert mcnemar(first, second, ["a", "a", "b", "c", "d"]).p == pytest.approx(expected)


def test_mcnemar_is_not_fooled_by_copies() -> None:
    a, b = answers(20, 3, 10, 9)
    patients = list(range(42)) * 5
    assert mcnemar(np.tile(a, 5), np.tile(b, 5), patients).p == pytest.approx(mcnemar(a, b).p)
    assert mcnemar_clustered(np.tile(a, 5), np.tile(b, 5), patients).p == pytest.approx(
        mcnemar_clustered(a, b, range(42)).p
    )
    assert mcnemar(np.tile(a, 5), np.tile(b, 5)).p < 0.001


def test_clustered_mcnemar_with_an_image_each_is_the_plain_one() -> None:
    a, b = answers(50, 30, 15, 20)
    plain = mcnemar_of_statsmodels([[50, 30], [15, 20]], exact=False, correction=False).pvalue
    assert mcnemar_clustered(a, b, range(115), each_patient_once=True).p == pytest.approx(plain)
    assert mcnemar_clustered(a, b, range(115)).p == pytest.approx(plain, rel=0.03)


def test_each_patient_once_compares_the_means_over_patients() -> None:
    first, second, patients = [True, True, True, False], [True, False, False, False], ["a", "a", "a", "b"]
    found = mcnemar_clustered(first, second, patients, each_patient_once=True)
    assert (found.first, found.second) == pytest.approx((1 / 2, 1 / 6))


def test_interval_of_two_accuracies_is_near_the_printed_one() -> None:
    # Agresti (2002), table 10.1: approval of the prime minister, 944 and 880 of 1600; the same 1600 asked twice
    found = mcnemar(*answers(794, 150, 86, 570))
    assert found.difference == pytest.approx(0.04)
    assert found.interval() == pytest.approx((0.021, 0.059), abs=0.001)
    assert found.standard_error == pytest.approx(0.0095, abs=0.0001)


def test_interval_adds_half_an_image_to_each_cell() -> None:
    found = mcnemar(*answers(10, 5, 2, 3))
    center = 3 / 22
    assert found.center == pytest.approx(center)
    assert found.standard_error == pytest.approx(math.sqrt((8 / 22 - center**2) / 22))
    assert found.degrees == math.inf


def test_models_that_are_always_right_leave_doubt() -> None:
    low, high = mcnemar(*answers(20, 0, 0, 0)).interval()
    assert low < -0.05 < 0.05 < high
    low, high = mcnemar(np.ones(60, bool), np.ones(60, bool), list(range(20)) * 3).interval()
    assert low < -0.05 < 0.05 < high


def test_one_patient_tells_nothing() -> None:
    found = mcnemar([True] * 9, [False] * 9, ["a"] * 9)
    assert found.p >= 0.5
    assert found.interval()[0] < 0


def test_resampled_t_with_no_test_part_is_the_plain_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.03, 10), rng.normal(0.77, 0.03, 10)
    found = resampled_t(a, b, n_train=90, n_test=0, figure="AUROC")
    assert found.p == pytest.approx(ttest_rel(a, b).pvalue)
    assert found.interval() == pytest.approx(tuple(ttest_rel(a, b).confidence_interval()))


def test_resampled_t_is_wider_by_the_factor_of_the_paper() -> None:
    a, b = np.array([0.8, 0.9, 0.85, 0.7, 0.75]), np.array([0.7, 0.85, 0.8, 0.72, 0.7])
    plain, found = (resampled_t(a, b, n_train=80, n_test=k, figure="AUROC") for k in (0, 20))
    assert found.standard_error / plain.standard_error == pytest.approx(math.sqrt(1 + 5 * 20 / 80))
    assert found.p > plain.p


def test_folds_that_do_not_vary_have_no_test() -> None:
    assert math.isnan(resampled_t([0.8, 0.9], [0.7, 0.8], n_train=8, n_test=2, figure="AUROC").p)
    assert math.isnan(resampled_t([0.8], [0.7], n_train=8, n_test=2, figure="AUROC").p)
    assert resampled_t([0.8, 0.9], [0.8, 0.9], n_train=8, n_test=2, figure="AUROC").p == 1


def test_tail_is_the_two_sided_p_at_no_shift() -> None:
    ill, a, b = scores(9)
    found = delong_test(ill, a, b)
    assert 2 * min(found.tail(0), 1 - found.tail(0)) == pytest.approx(found.p)
    assert found.tail(found.interval(0.9)[1]) == pytest.approx(0.05)
