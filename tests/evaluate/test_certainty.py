from __future__ import annotations

import numpy as np
import pytest

from overread.evaluate.certainty import certainty
from overread.evaluate.predictions import Predictions
from overread.model.caution import Caution

CLASSES = ("normal", "tumor")


def said(truth, tumor, *, distance=None, part: str = "test", patients=None) -> Predictions:
    n, tumor = len(truth), np.asarray(tumor, float)
    return Predictions(
        paths=tuple(f"{at}.png" for at in range(n)),
        frames=(0,) * n,
        patients=tuple(patients or (f"{part}{at}" for at in range(n))),
        truth=np.asarray(truth),
        probabilities=np.c_[1 - tumor, tumor],
        parts=(part,) * n,
        classes=CLASSES,
        distance=None if distance is None else np.asarray(distance, float),
    )


#            in the set: normal | both | both | tumor | tumor; far: the last
TESTED = said([0, 0, 1, 1, 0], [0.1, 0.5, 0.6, 0.9, 0.95], distance=[1, 2, 3, 4, 50])
CAUTION = Caution(
    thresholds=(0.65, 0.65), farthest=10.0, far_why="nine in ten", sets_why="hold 90%", part="calibrate"
)
CALIBRATION = said([0, 1] * 20, [0.2, 0.8] * 20, part="calibrate")


def test_an_image_with_several_classes_or_far_from_all_is_not_answered() -> None:
    found = certainty(CALIBRATION, TESTED, caution=CAUTION, labels=["tumor"], part="test")
    assert found.abstained.value == pytest.approx(3 / 5)
    assert found.far is not None
    assert found.far.value == pytest.approx(1 / 5)
    assert found.answered is not None
    assert (found.answered.value, found.answered.n_images) == (1.0, 2)
    assert found.given is not None
    assert found.given.coverage.value == pytest.approx(4 / 5)
    by_class = {one.label: one.value for one in found.given.coverage_by_class}
    assert by_class == pytest.approx({"normal": 2 / 3, "tumor": 1.0})
    assert found.given.single.value == pytest.approx(3 / 5)


def test_without_sets_and_limit_every_image_is_answered() -> None:
    found = certainty(
        CALIBRATION, TESTED, caution=Caution(sets_why="no sets: too few"), labels=["tumor"], part="test"
    )
    assert found.given is None
    assert found.far is None
    assert found.why == "no sets: too few"
    assert found.abstained.value == 0
    assert found.answered is not None
    assert found.answered.value == pytest.approx(4 / 5)


def test_where_nothing_is_answered_there_is_no_accuracy() -> None:
    found = certainty(CALIBRATION, TESTED, caution=Caution(thresholds=(1.0, 1.0)), labels=["tumor"], part="external")
    assert found.abstained.value == 1
    assert found.answered is None
    assert found.abstained.part == "external"


def test_ways_to_make_sets_are_refused_by_the_name_of_the_class() -> None:
    few = said([0] * 12 + [1] * 4, [0.3] * 12 + [0.6] * 4, part="calibrate")
    found = certainty(few, TESTED, caution=CAUTION, labels=["tumor"], part="test")
    ways = {(one.kind, one.by_class): one for one in found.compared}
    assert len(ways) == 6
    for kind in ("lac", "aps", "raps"):
        assert ways[kind, True].report is None
        assert ways[kind, True].refused.startswith("tumor: 4 calibration patients; a promise of 90% needs at least 9")
        assert ways[kind, False].report is not None


def test_risk_falls_with_the_share_that_is_answered_and_ends_at_the_error() -> None:
    found = certainty(CALIBRATION, TESTED, caution=CAUTION, labels=["tumor"], part="test")
    # surest first: 0.95 wrong, then 0.9 both right, 0.6 right, and 0.5, a draw that counts as normal
    assert found.risk.coverage[-1] == pytest.approx(1)
    assert found.risk.risk[-1] == pytest.approx(1 / 5)


def test_triage_is_refused_where_patients_are_too_few_to_promise() -> None:
    found = certainty(CALIBRATION, TESTED, caution=CAUTION, labels=["normal", "tumor"], part="test")
    assert [one.label for one in found.triage] == ["normal", "tumor"]
    assert all(hasattr(one.rule.rule_out, "reason") for one in found.triage)
    assert all(one.report.read.value == 1 for one in found.triage)  # nobody is left out of a human's reading
