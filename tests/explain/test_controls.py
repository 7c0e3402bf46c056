from __future__ import annotations

import json
import math

import numpy as np
import pytest

from overread.explain.controls import (
    REFERENCES,
    TITLES,
    Check,
    Control,
    alike,
    faithful,
    keep_earlier,
    not_asked,
    on_lesions,
    similarity,
    unlike,
)
from overread.explain.faith import Faith
from overread.stats.intervals import Measured


def figure(value: float, low: float = math.nan, high: float = math.nan) -> Measured:
    return Measured(name="x", value=value, low=low, high=high, n_images=9, n_patients=3, method="by hand")


def test_similarity_is_the_mean_over_images_and_patients_are_the_unit() -> None:
    maps = np.random.default_rng(0).random((8, 5, 5))
    found = similarity(maps, np.concatenate([maps[:4], -maps[4:]]), ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert found.value == pytest.approx(0)
    assert found.n_patients == 4
    assert found.low < -0.9
    assert similarity(maps, maps, None).value == pytest.approx(1)
    assert similarity(maps, np.ones((8, 5, 5)), None).value == 0  # an even map is like no other


@pytest.mark.parametrize(
    ("value", "is_alike", "is_unlike"),
    [
        (figure(0.6, 0.55, 0.65), True, False),
        (figure(0.6, 0.45, 0.75), False, False),  # the end decides, not the mean
        (figure(0.4, 0.35, 0.45), False, True),
        (figure(0.4, 0.25, 0.55), False, False),
        (figure(1.0), True, False),  # all the same: no interval
    ],
)
def test_a_control_is_passed_by_its_whole_interval(value: Measured, is_alike: bool, is_unlike: bool) -> None:
    assert alike("noise", value).passed is is_alike
    assert unlike("weights", [("all", value)]).passed is is_unlike


def test_the_last_stage_decides() -> None:
    stages = [("head alone", figure(0.9, 0.8, 1.0)), ("from the head to stem", figure(0.1, 0.0, 0.2))]
    found = unlike("weights", stages)
    assert found.passed
    assert found.value == stages[-1][1]
    assert found.rows == tuple(stages)


def faith(down: Measured, up: Measured) -> Faith:
    rest = figure(0.0, -0.1, 0.1)
    return Faith(deletion=rest, insertion=rest, against={"random": (down, up), "edges": (rest, rest)})


def test_deletion_must_fall_and_insertion_rise() -> None:
    good = faithful(faith(figure(-0.2, -0.3, -0.1), figure(0.2, 0.1, 0.3)))
    assert [one.passed for one in good] == [True, True]
    assert [name for name, _ in good[0].rows] == ["area under the curve", "less that of random", "less that of edges"]
    bad = faithful(faith(figure(-0.2, -0.5, 0.1), figure(-0.2, -0.3, -0.1)))
    assert [one.passed for one in bad] == [False, False]


def test_lesions_must_be_found_more_often_than_by_the_middle() -> None:
    patients = [str(i // 2) for i in range(20)]
    hits = {"cam": [True] * 18 + [False] * 2, "centre": [True] * 4 + [False] * 16}
    energy = {"cam": [0.5] * 19 + [math.nan], "centre": [0.1] * 20}
    found = on_lesions(hits, energy, patients, method="cam")
    assert found.passed
    assert found.value is not None
    assert found.value.value == pytest.approx(0.7)
    rows = dict(found.rows)
    assert rows["points at it: this map"].value == pytest.approx(0.9)
    assert rows["share inside: this map"].value == pytest.approx(0.475)
    assert not on_lesions({**hits, "centre": hits["cam"]}, energy, patients, method="cam").passed


def test_what_was_not_asked_neither_passes_nor_fails() -> None:
    controls = (alike("noise", figure(0.9, 0.8, 1.0)), not_asked("repeat", "it takes another training"))
    check = Check(method="cam", controls=controls)
    assert check.failed == ()
    assert check.sentence == "Maps of the kind cam passed the one control that was asked."
    worse = Check(method="cam", controls=(*controls, alike("repeat", figure(0.1, 0, 0.2))))
    assert worse.sentence == "Maps of the kind cam failed 1 of 2 controls: the same map from a second training."


def test_a_check_of_less_does_not_lift_what_a_check_of_more_found() -> None:
    failed = alike("repeat", figure(0.1, 0, 0.2))
    before = Check(method="cam", controls=(alike("noise", figure(0.3, 0.2, 0.4)), failed, not_asked("labels", "no")))
    other = Check(method="other", controls=(failed,))
    labels = unlike("labels", [("", figure(0.1))])
    now = Check(method="cam", controls=(alike("noise", figure(0.9, 0.8, 1)), not_asked("repeat", "no"), labels))
    cam, kept = keep_earlier([now], [before, other])
    assert kept == other
    assert [(one.name, one.passed) for one in cam.controls] == [("noise", True), ("repeat", False), ("labels", True)]
    assert cam.failed == (failed,)
    assert keep_earlier([now], []) == (now,)


def test_json_undone_is_the_check_again() -> None:
    stages = [("head", figure(0.2, 0.1, 0.3)), ("all", figure(0.1))]
    check = Check(method="cam", controls=(unlike("weights", stages), not_asked("repeat", "no")))
    again = Check.from_json("cam", json.loads(json.dumps(check.to_json())))
    assert str(again) == str(check)  # nan is not equal to itself
    with pytest.raises(ValueError, match="seven is no control"):
        Check.from_json("cam", [{"name": "seven"}])


def test_json_has_no_nan_and_every_control_its_title_and_paper() -> None:
    check = Check(method="cam", controls=(alike("noise", figure(1.0)),))
    (told,) = json.loads(json.dumps(check.to_json(), allow_nan=False))
    assert (told["name"], told["passed"], told["value"]["low"]) == ("noise", True, None)
    assert set(TITLES) == set(REFERENCES)
    assert Control(name="labels").title == TITLES["labels"]
