from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from overread.stats.comparison import FEW_A_SIDE, FEW_UNLIKE, compare, equivalence
from overread.stats.paired import Comparison, delong_test, mcnemar, mcnemar_clustered, swap_test


def probabilities(seed: int, n: int, k: int = 2, images: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, list]:
    """Truth, two models' probabilities and patients; images of one patient are alike."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n) % k, images)
    patients = np.repeat(np.arange(n), images)
    common = rng.normal(size=(n, k))[patients] + 1.0 * np.eye(k)[truth]
    models = []
    for _ in range(2):
        raw = np.exp(common + 0.7 * rng.normal(size=(n * images, k)))
        models.append(raw / raw.sum(1, keepdims=True))
    return truth, models[0], models[1], list(patients)


def asked(figure: str, case: tuple, *, known: bool = True, **more) -> Comparison:
    truth, first, second, patients = case
    return compare(
        truth,
        first,
        second,
        figure=figure,
        rng=np.random.default_rng(0),
        patients=patients if known else None,
        **more,
    )


def test_enough_patients_are_compared_by_delong() -> None:
    case = probabilities(0, 2 * FEW_A_SIDE, images=3)
    found = asked("auroc", case)
    expected = delong_test(case[0] == 1, case[1][:, 1], case[2][:, 1], case[3])
    assert dataclasses.replace(found, why="") == expected
    assert found.why == "20 patients on the rarer side, enough for a normal distribution"


def test_few_patients_are_compared_by_swaps() -> None:
    case = probabilities(0, 2 * FEW_A_SIDE - 2, images=3)
    found = asked("auroc", case)
    expected = swap_test(case[0] == 1, case[1][:, 1], case[2][:, 1], rng=np.random.default_rng(0), patients=case[3])
    assert dataclasses.replace(found, why="") == expected
    assert found.why == "19 patients on the rarer side, too few for DeLong's test"
    assert "114 images" not in found.why
    assert asked("auroc", case, known=False).test == "DeLong's test"


def test_an_image_a_patient_is_compared_exactly() -> None:
    case = probabilities(1, 200)
    truth, first, second, patients = case
    right = first.argmax(1) == truth, second.argmax(1) == truth
    assert dataclasses.replace(asked("accuracy", case), why="") == mcnemar(*right, patients)
    assert dataclasses.replace(asked("accuracy", case, known=False), why="") == mcnemar(*right)


def test_several_images_a_patient_are_compared_by_patient() -> None:
    many, few = probabilities(2, 200, images=3), probabilities(2, 30, images=3)
    right = [many[i].argmax(1) == many[0] for i in (1, 2)]
    assert dataclasses.replace(asked("accuracy", many), why="") == mcnemar_clustered(*right, many[3])
    right = [few[i].argmax(1) == few[0] for i in (1, 2)]
    found = asked("accuracy", few)
    assert dataclasses.replace(found, why="") == mcnemar(*right, few[3])
    unlike = int(found.why.split()[1])
    assert 0 < unlike < FEW_UNLIKE


def test_an_area_of_many_classes_needs_its_class() -> None:
    case = probabilities(3, 90, k=3)
    with pytest.raises(ValueError, match="of 3 classes needs the label"):
        asked("auroc", case)
    found = asked("auroc", case, label=2)
    assert found.first == pytest.approx(delong_test(case[0] == 2, case[1][:, 2], case[2][:, 2]).first)


@pytest.mark.parametrize("figure", ["accuracy", "auroc"])
def test_nothing_to_compare_is_refused(figure) -> None:
    with pytest.raises(ValueError, match="no images to compare the models on"):
        compare([], np.zeros((0, 2)), np.zeros((0, 2)), figure=figure, rng=np.random.default_rng(0), patients=[])


@pytest.mark.parametrize("known", [True, False])
def test_one_class_alone_has_no_test_of_areas(known) -> None:
    truth, first, second, patients = probabilities(4, 40)
    alone = truth == 1
    case = truth[alone], first[alone], second[alone], [p for p, keep in zip(patients, alone, strict=True) if keep]
    assert math.isnan(asked("auroc", case, known=known).p)


def test_one_patient_says_nothing() -> None:
    truth, first, second, _ = probabilities(5, 20)
    case = truth, first, second, ["a"] * 20
    assert asked("accuracy", case).p >= 0.5
    assert math.isnan(asked("auroc", case).interval()[0])


def measured(center: float, error: float, degrees: float = math.inf) -> Comparison:
    return Comparison(
        figure="AUROC", first=0.8 + center, second=0.8, p=0.5, test="t", center=center, standard_error=error,
        degrees=degrees, n_images=None, n_patients=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("center", "error", "verdict"),
    [
        (0.0, 0.01, "equivalent"),
        (0.04, 0.01, "not worse"),
        (-0.04, 0.01, "undecided"),
        (-0.10, 0.01, "worse"),
        (0.0, 0.10, "undecided"),
        (0.10, 0.01, "not worse"),
    ],
)
def test_verdicts_by_hand(center, error, verdict) -> None:
    found = equivalence(measured(center, error), 0.05)
    assert found.verdict == verdict
    assert (found.low, found.high) == pytest.approx((center - 1.644854 * error, center + 1.644854 * error))


def test_a_verdict_is_that_of_its_two_tests() -> None:
    for center in np.linspace(-0.1, 0.1, 41):
        found = equivalence(measured(center, 0.02, 30), 0.05)
        assert (found.verdict in ("equivalent", "not worse")) == (found.p_worse < 0.05)
        assert (found.verdict == "equivalent") == (max(found.p_worse, found.p_better) < 0.05)


def test_without_an_interval_nothing_is_decided() -> None:
    found = equivalence(measured(0.0, math.nan), 0.05)
    assert found.verdict == "undecided"
    assert math.isnan(found.p_worse)


@pytest.mark.parametrize("margin", [0, -0.1, math.nan])
def test_a_margin_must_be_above_zero(margin) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        equivalence(measured(0, 0.1), margin)
