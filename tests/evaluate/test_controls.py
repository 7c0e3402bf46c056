from __future__ import annotations

import json
import math

import pytest

from overread.evaluate.controls import ARMS, IMAGE, LEARNING, PATIENT, SHUFFLED, Arm, arms_of, tell
from overread.stats.intervals import Measured
from overread.stats.unpaired import Difference


def area(value: float, low: float, high: float) -> Measured:
    return Measured(name="auroc", value=value, low=low, high=high, n_images=100, n_patients=25, method="")


GOOD, CHANCE, BAD = area(0.95, 0.9, 0.98), area(0.52, 0.4, 0.64), area(0.7, 0.6, 0.79)
NO_INTERVAL = area(0.95, math.nan, math.nan)


def test_nothing_is_trained_twice() -> None:
    assert arms_of(["gap", "shuffled", "learning"]) == (PATIENT, IMAGE, *SHUFFLED, *LEARNING[:-1])
    assert len({arm.name for arm in arms_of(list(ARMS))}) == 7
    assert Arm(split="patient", share=0.25).name == "patient-25-percent"


@pytest.mark.parametrize(
    ("by_patient", "by_image", "said", "tone"),
    [
        (BAD, GOOD, "0.25 (0.15 to 0.35) of it is recognising patients", "do not"),
        (GOOD, GOOD, "no more of a gap than chance explains (+0.00, ", "good"),
        (GOOD, BAD, "no more of a gap than chance explains (-0.25, ", "good"),
        (CHANCE, CHANCE, "neither is above chance", "with care"),
        (area(0.3, 0.2, 0.4), CHANCE, "neither is above chance", "with care"),
        (BAD, NO_INTERVAL, "one of them has no interval", "with care"),
        (NO_INTERVAL, GOOD, "one of them has no interval", "with care"),
        (GOOD, CHANCE, "no more of a gap than chance explains (-0.43, ", "good"),
    ],
)
def test_a_gap_is_said_where_there_is_one(by_patient, by_image, said: str, tone: str) -> None:
    told = tell("gap", {PATIENT: by_patient, IMAGE: by_image})
    assert said in told.words
    assert "nan" not in told.words
    assert told.tone == tone
    json.dumps(told.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("by_patient", "by_image", "said", "tone"),
    [
        (CHANCE, CHANCE, ("chance, as it must be", "no sign that the network knows patients again"), "good"),
        (CHANCE, GOOD, ("chance, as it must be", "knows the patients again from their other images"), "with care"),
        (BAD, GOOD, ("above chance, where nothing can be learnt", "knows the patients again"), "do not"),
        (CHANCE, NO_INTERVAL, ("chance, as it must be", "nobody can say whether the network knows"), "with care"),
        (BAD, NO_INTERVAL, ("above chance, where nothing can be learnt", "nobody can say whether"), "do not"),
        (area(0.3, 0.2, 0.4), CHANCE, ("below chance", "no sign"), "with care"),
        (
            NO_INTERVAL,
            CHANCE,
            ("0.95 (no interval)", "nobody can say whether that is chance", "no sign"),
            "with care",
        ),
    ],
)
def test_shuffled_labels_must_score_chance(by_patient, by_image, said: tuple[str, ...], tone: str) -> None:
    told = tell("shuffled", dict(zip(SHUFFLED, (by_patient, by_image), strict=True)))
    assert all(words in told.words for words in said)
    assert told.tone == tone


@pytest.mark.parametrize(
    ("half", "whole", "said", "tone"),
    [
        (BAD, GOOD, "more patients help", "good"),
        (area(0.95, 0.94, 0.96), area(0.95, 0.94, 0.955), "twice the patients added less than 0.02", "good"),
        (BAD, area(0.72, 0.62, 0.81), "cannot be told with a test part of this size", "good"),
        (CHANCE, CHANCE, "the network has learnt nothing", "with care"),
        (NO_INTERVAL, GOOD, "nobody can say whether more patients help", "with care"),
        (BAD, NO_INTERVAL, "nobody can say whether more patients help", "with care"),
    ],
)
def test_a_curve_is_read_as_far_as_its_intervals_allow(half, whole, said: str, tone: str) -> None:
    told = tell("learning", dict.fromkeys(LEARNING, half) | {PATIENT: whole})
    assert said in told.words
    assert told.tone == tone
    assert "nan" not in told.words


def test_a_gain_on_the_same_images_counts_for_more_than_two_figures() -> None:
    areas = dict.fromkeys(LEARNING, BAD) | {PATIENT: area(0.78, 0.68, 0.86)}
    assert "cannot be told" in tell("learning", areas).words
    told = tell("learning", areas, gain=Difference(value=0.08, low=0.02, high=0.14))
    assert "more patients help (+0.08, +0.02 to +0.14)" in told.words
    assert told.to_json()["differences"] == {"half to all": {"value": 0.08, "low": 0.02, "high": 0.14}}
