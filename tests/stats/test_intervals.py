from __future__ import annotations

import json
import math

import numpy as np
import pytest

from overread.stats import metrics
from overread.stats.intervals import Measured, delong, newcombe_auroc, patient_bootstrap, wilson

# Hanley & McNeil (1982), table I: one reader's ratings, 1 (normal) to 5, of 109 CT images.
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
RATINGS = np.r_[np.repeat(np.arange(1, 6), NORMAL), np.repeat(np.arange(1, 6), ABNORMAL)]
DISEASED = np.r_[np.zeros(58, bool), np.ones(51, bool)]


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_printed_figures(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetrical_and_exact_at_the_ends():
    assert wilson(20, 20) == (pytest.approx(1 - 0.1611, abs=5e-5), 1.0)
    low, high = wilson(3, 10)
    assert wilson(7, 10) == pytest.approx((1 - high, 1 - low))
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_delong_agrees_with_printed_figures():
    # The same data in the manual of Stata's roctab: area 0.8932, standard error 0.0307, 0.83295 to 0.95339.
    area, variance = delong(DISEASED, RATINGS)
    assert area == pytest.approx(0.8932, abs=5e-5)
    assert math.sqrt(variance) == pytest.approx(0.0307, abs=5e-5)
    assert area - 1.959964 * math.sqrt(variance) == pytest.approx(0.83295, abs=5e-5)
    assert area + 1.959964 * math.sqrt(variance) == pytest.approx(0.95339, abs=5e-5)
    assert area == pytest.approx(float(metrics.auroc(DISEASED, RATINGS)))


def test_delong_is_not_fooled_by_two_copies_of_every_image():
    positive, scores = np.tile(DISEASED, 2), np.tile(RATINGS, 2)
    patients = [f"p{i}" for i in range(109)] * 2
    _, single = delong(DISEASED, RATINGS)
    assert delong(positive, scores, patients)[1] == pytest.approx(single)
    assert delong(positive, scores)[1] < 0.51 * single


def test_delong_has_no_variance_for_one_patient_and_no_area_for_one_class():
    area, variance = delong([True, False, False], [0.9, 0.1, 0.2], ["a", "b", "c"])
    assert area == 1
    assert math.isnan(variance)
    assert math.isnan(delong([True, True], [0.1, 0.2])[0])


def test_newcombe_has_a_width_where_the_groups_do_not_overlap():
    low, high = newcombe_auroc(1.0, 10, 15)
    assert high == 1
    assert 0.70 < low < 0.90
    assert newcombe_auroc(1.0, 100, 150)[0] > low
    assert newcombe_auroc(0.0, 10, 15) == pytest.approx((0, 1 - low))


def test_newcombe_with_one_of_each_is_wilson_of_one():
    assert newcombe_auroc(1.0, 1, 1) == pytest.approx(wilson(1, 1))


def test_newcombe_is_near_delong_in_the_middle():
    low, high = newcombe_auroc(0.8932, 51, 58)
    assert (low, high) == pytest.approx((0.83, 0.95), abs=0.02)


def mean_of(values):
    return lambda weights: (weights @ values / weights.sum(1))[:, None]


def bootstrap(values, units, strata, seed=0, **more):
    low, high = patient_bootstrap(mean_of(values), units, strata, rng=np.random.default_rng(seed), **more)
    return low[0], high[0]


def test_bootstrap_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).exponential(size=60)
    ours = bootstrap(values, np.arange(60), np.zeros(60, int), n_resamples=9000)
    # few patients: Student's t, and the variance that a bootstrap lacks
    level = 2 * stats.norm.cdf(np.sqrt(60 / 59) * stats.t.ppf(0.975, 59)) - 1
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9000, method="BCa", random_state=0, confidence_level=level
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_bootstrap_is_not_fooled_by_copies_of_the_same_patient():
    values, units = np.random.default_rng(1).normal(size=30), np.arange(30)
    once = bootstrap(values, units, np.zeros(30, int))
    assert bootstrap(np.tile(values, 5), np.tile(units, 5), np.zeros(30, int)) == pytest.approx(once)


def test_images_of_one_patient_widen_the_interval():
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(20), 10)
    values = rng.normal(size=20)[units] + 0.1 * rng.normal(size=200)
    by_patient = bootstrap(values, units, np.zeros(20, int))
    by_image = bootstrap(values, np.arange(200), np.zeros(200, int))
    assert by_patient[1] - by_patient[0] > 2.5 * (by_image[1] - by_image[0])


def test_no_class_vanishes_from_a_resample():
    positive, scores = np.r_[True, True, np.zeros(50, bool)], np.linspace(1, 0, 52)
    areas = []

    def statistic(weights):
        areas.append(metrics.auroc(positive, scores, weights=weights)[:, None])
        return areas[-1]

    patient_bootstrap(statistic, np.arange(52), positive.astype(int), rng=np.random.default_rng(0), n_resamples=500)
    assert not np.isnan(np.concatenate(areas)).any()


def test_the_same_generator_gives_the_same_interval_and_memory_is_bounded():
    values = np.random.default_rng(0).normal(size=20_000)
    units, strata = np.arange(20_000) // 2, np.zeros(10_000, int)
    seen = []

    def statistic(weights):
        seen.append(weights.nbytes)
        return mean_of(values)(weights)

    ends = [
        patient_bootstrap(statistic, units, strata, rng=np.random.default_rng(7), n_resamples=300) for _ in range(2)
    ]
    assert ends[0] == ends[1]
    assert max(seen) <= 16_000_000


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """AUROC of 40 patients with one to four images each: 92 % and more of 150 intervals hold 0.856."""
    rng = np.random.default_rng(5)
    disease = np.arange(40) % 2 == 0
    held = 0
    for _ in range(150):
        units = np.repeat(np.arange(40), rng.integers(1, 5, size=40))
        scores = 1.5 * disease[units] + 0.8 * rng.normal(size=40)[units] + 0.6 * rng.normal(size=units.size)
        positive = disease[units]

        def statistic(weights, positive=positive, scores=scores):
            return metrics.auroc(positive, scores, weights=weights)[:, None]

        low, high = patient_bootstrap(statistic, units, disease.astype(int), rng=rng, n_resamples=400)
        held += low[0] <= 0.8556 <= high[0]
    assert held / 150 > 0.90


def test_measured_survives_json_with_nan_and_prints():
    figure = Measured(
        name="sensitivity", value=math.nan, low=math.nan, high=math.nan, n_images=0, n_patients=None,
        method="no image of this class", label="tumor",
    )  # fmt: skip
    again = Measured.from_json(json.loads(json.dumps(figure.to_json(), allow_nan=False)))
    assert math.isnan(again.value)
    assert (again.label, again.n_patients, again.part) == ("tumor", None, "test")
    assert str(figure) == "-"
    known = Measured(name="auroc", value=0.8461, low=0.79, high=0.8942, n_images=203, n_patients=101, method="m")
    assert Measured.from_json(json.loads(json.dumps(known.to_json()))) == known
    assert str(known) == "0.846 (0.790 to 0.894)"
