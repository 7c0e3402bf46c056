from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from overread.evaluate.predictions import Predictions
from overread.evaluate.repeated import FIGURES, Scored, change, over_repeats
from overread.evaluate.second_read import measure
from overread.stats.unpaired import difference


def scored(probability: ArrayLike, truth: ArrayLike, patients: list[str | None], *, first: int = 0) -> Scored:
    """A run's test part of two classes; probability: (n,) of the second one. first: the number of its first image."""
    p, n = np.asarray(probability, float), len(patients)
    found = Predictions(
        paths=tuple(f"{first + i}.png" for i in range(n)),
        frames=(0,) * n,
        patients=tuple(patients),
        truth=np.asarray(truth),
        probabilities=np.stack([1 - p, p], axis=1),
        parts=("test",) * n,
        classes=("healthy", "ill"),
    )
    return Scored(predictions=found, score=measure(found, part="test", positive=None, seed=0))


def drawn(seed: int, *, n_patients: int = 24, far: float = 1.0) -> Scored:
    """Three images of each patient, who are others for every seed; the ill score higher by `far` deviations."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_patients) % 2, 3)
    scores = far * truth + np.repeat(rng.normal(size=n_patients), 3) + 0.5 * rng.normal(size=truth.size)
    patients = [f"{seed}-{i // 3}" for i in range(truth.size)]
    return scored(1 / (1 + np.exp(-scores)), truth, patients, first=1000 * seed)


def width(figure) -> float:
    return figure.high - figure.low


@pytest.mark.parametrize("name", FIGURES)
def test_a_single_run_has_its_own_figure(name: str) -> None:
    run = drawn(1)
    assert over_repeats(name, [run]) == run.score.figure(name)


@pytest.mark.parametrize("name", FIGURES)
def test_who_is_tested_twice_counts_once(name: str) -> None:
    """The same part again brings nothing new; other patients do: four times as many, half as wide."""
    runs = [drawn(seed) for seed in range(4)]
    mean = over_repeats(name, runs)
    assert mean.value == pytest.approx(np.mean([run.score.figure(name).value for run in runs]))
    assert (mean.n_images, mean.n_patients) == (288, 96)
    again = over_repeats(name, [runs[0]] * 4)
    once = over_repeats(name, [runs[0], runs[0]])
    assert (again.n_images, again.n_patients) == (72, 24)
    assert (again.low, again.high) == pytest.approx((once.low, once.high))
    each = float(np.mean([width(over_repeats(name, [run, run])) for run in runs]))
    assert width(mean) == pytest.approx(each / 2, rel=0.15)


def test_the_interval_of_one_part_is_that_of_its_score() -> None:
    run = drawn(3)
    doubled, own = over_repeats("auroc", [run, run]), run.score.figure("auroc")
    assert (doubled.low, doubled.high) == pytest.approx((own.low, own.high))
    assert "leaving out each of 24 patients" in doubled.method
    assert "rough, as a class has only 12 patients" in doubled.method


def test_with_shuffled_labels_a_patient_may_be_of_another_class_in_each_split() -> None:
    run = drawn(5, far=0)
    found = run.predictions
    turned = dataclasses.replace(found, truth=1 - found.truth)
    other = Scored(predictions=turned, score=measure(turned, part="test", positive=None, seed=0))
    mean = over_repeats("auroc", [run, other])
    assert mean.value == pytest.approx(0.5)  # an AUROC and its mirror image
    assert mean.low <= 0.5 <= mean.high


def test_all_right_in_every_split_is_not_told_as_certain() -> None:
    truth = np.repeat([0, 1], 12)
    runs = [scored(0.1 + 0.8 * truth, truth, [f"{s}-{i // 2}" for i in range(24)]) for s in range(2)]
    mean = over_repeats("auroc", runs)
    assert mean.value == 1
    assert mean.low == pytest.approx(runs[0].score.figure("auroc").low)
    gain = change("auroc", runs, runs)
    assert gain == difference(mean, mean)
    assert gain.low < 0 < gain.high


def test_one_patient_in_a_class_gives_no_interval() -> None:
    lone = scored([0.1, 0.2, 0.6, 0.9, 0.8], [0, 0, 0, 1, 1], ["a", "b", "c", "d", "d"])
    mean = over_repeats("auroc", [lone, drawn(1)])
    assert math.isnan(mean.low)
    assert "a class has only one patient" in mean.method
    assert not math.isnan(over_repeats("accuracy", [drawn(2), drawn(1)]).low)
    assert math.isnan(change("auroc", [lone], [lone]).low)


def test_without_patients_the_images_are_left_out() -> None:
    known = drawn(7)
    truth, p = known.predictions.truth, known.predictions.probabilities[:, 1]
    runs = [scored(p, truth, [None] * len(truth))] * 2
    mean = over_repeats("auroc", runs)
    assert mean.n_patients is None
    assert "leaving out each of 72 images" in mean.method
    assert width(mean) < width(over_repeats("auroc", [known, known]))  # a patient's images are alike


def test_what_is_hard_for_both_does_not_widen_their_difference() -> None:
    before = [drawn(seed, far=1.0) for seed in range(3)]
    after = []
    for run in before:  # the same images, the ill a little higher
        found = run.predictions
        odds = np.log(found.probabilities[:, 1] / found.probabilities[:, 0]) + 0.4 * found.truth
        p = 1 / (1 + np.exp(-odds))
        found = dataclasses.replace(found, probabilities=np.stack([1 - p, p], axis=1))
        after.append(Scored(predictions=found, score=measure(found, part="test", positive=None, seed=0)))
    gain = change("auroc", before, after)
    first, last = over_repeats("auroc", before), over_repeats("auroc", after)
    assert gain.value == pytest.approx(last.value - first.value)
    assert gain.is_above_zero
    apart = difference(last, first)
    assert not apart.is_above_zero
    assert width(gain) < width(apart) / 3
    back = change("auroc", after, before)
    assert (back.low, back.high) == pytest.approx((-gain.high, -gain.low))
    with pytest.raises(ValueError, match="not tested on the same images"):
        change("auroc", before[:1], before[1:2])


def test_of_several_classes_the_area_is_the_mean_of_each_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(18) % 3, 2)
    p = rng.dirichlet(np.ones(3), truth.size) + 0.4 * np.eye(3)[truth]
    found = dataclasses.replace(
        drawn(1).predictions.subset(np.arange(36)),
        truth=truth,
        probabilities=p / p.sum(axis=1, keepdims=True),
        classes=("a", "b", "c"),
        patients=tuple(str(i // 2) for i in range(36)),
    )
    run = Scored(predictions=found, score=measure(found, part="test", positive=None, seed=0))
    for name in ("auroc", "balanced_accuracy", "accuracy"):
        assert over_repeats(name, [run, run]).value == pytest.approx(run.score.figure(name).value)
