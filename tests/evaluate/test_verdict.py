from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.conftest import make_predictions

from overread.audit.audit import Audit
from overread.audit.check import Finding
from overread.data.split import SHARED, UNKNOWN
from overread.evaluate.predictions import Predictions
from overread.evaluate.second_read import SecondRead, second_read
from overread.evaluate.verdict import Reason
from overread.model.caution import Caution

CLEAN = Audit(findings=(), n_images=500, n_patients=250, asked=("L01", "D01", "S01"))


def finding(code: str, severity: str, auroc: float | None = None) -> Finding:
    evidence = {} if auroc is None else {"auroc": auroc}
    return Finding(
        code=code, title=f"Fault {code}", severity=severity, what="It is there. Much.", do="Mend it.", n=1,
        unit="images", evidence=evidence,
    )  # fmt: skip


def found_by(*findings: Finding) -> Audit:
    return dataclasses.replace(CLEAN, findings=findings)


GOOD = make_predictions(parts={"val": 100, "calibrate": 150, "test": 300}, images_each=1, skill=4.0)


def read(made: tuple[Predictions, Caution] = GOOD, *, audit: Audit | None = CLEAN, marks=(), **more) -> SecondRead:
    return second_read(made[0], caution=made[1], audit=audit, marks=marks, seed=0, **more)


def texts(found: SecondRead, grade: str) -> list[str]:
    return [reason.text for reason in found.verdict.reasons if reason.grade == grade]


def test_a_model_that_nothing_speaks_against_is_believed_and_what_speaks_for_it_is_told() -> None:
    found = read()
    assert found.verdict.grade == "good"
    assert found.verdict.words.startswith("Believe it")
    assert len(found.verdict.deciding) == 3
    assert any(text.startswith("AUROC 0.9") for text in texts(found, "good"))
    assert any("3 checks of the data found nothing grave" in text for text in texts(found, "good"))


@pytest.mark.parametrize(
    ("audit", "marks", "grade", "said"),
    [
        (found_by(finding("L04", "fatal")), (), "do not", "Fault L04. It is there."),
        (found_by(finding("D02", "serious")), (), "with care", "Fault D02. It is there."),
        (found_by(finding("Q02", "note")), (), "good", ""),
        (found_by(finding("P01", "serious")), (), "good", ""),
        (None, (), "with care", "The data were not audited"),
        (CLEAN, (SHARED,), "do not", "divided one by one"),
        (CLEAN, (UNKNOWN,), "with care", "Nobody knows which images are of one patient"),
        (found_by(finding("S01", "serious", 0.9999)), (), "do not", "The network may need nothing else either."),
        (found_by(finding("S06", "note", 0.9999)), (), "with care", "The network may need nothing else either."),
        (found_by(finding("S01", "serious", 0.7)), (), "with care", "AUROC 0.700 from that alone"),
        (found_by(finding("S06", "note", 0.7)), (), "good", ""),
    ],
)
def test_findings_and_marks_weigh_as_they_should(audit, marks, grade: str, said: str) -> None:
    found = read(audit=audit, marks=marks)
    assert found.verdict.grade == grade
    assert any(said in text for text in texts(found, grade))


def test_one_reason_against_it_is_enough_and_comes_first() -> None:
    found = read(audit=found_by(finding("D02", "serious"), finding("L04", "fatal")))
    grades = [reason.grade for reason in found.verdict.reasons]
    assert grades[0] == found.verdict.grade == "do not"
    assert grades == sorted(grades, key=("do not", "with care", "good").index)


def test_a_network_that_guesses_is_not_believed() -> None:
    found = read(make_predictions(parts={"val": 100, "calibrate": 150, "test": 300}, skill=0.0))
    assert found.verdict.grade == "do not"
    assert any("cannot be told from guessing" in text for text in texts(found, "do not"))


def test_a_test_part_of_one_patient_a_class_is_no_test() -> None:
    found = read(make_predictions(parts={"val": 100, "calibrate": 150, "test": 2}, images_each=4, skill=4.0, seed=3))
    assert any("has no interval: a class has only one patient" in text for text in texts(found, "do not"))


def test_a_small_test_part_is_a_reason_for_care() -> None:
    found = read(make_predictions(parts={"val": 100, "calibrate": 150, "test": 24}, images_each=1, skill=1.5))
    assert found.verdict.grade == "with care"
    assert any("The test part is small" in text for text in texts(found, "with care"))
    assert any("fewer than 20 patients" in text for text in texts(found, "with care"))


def test_a_model_that_cannot_say_how_sure_it_is_or_is_mostly_silent_is_a_reason_for_care() -> None:
    no_sets = GOOD[0], dataclasses.replace(GOOD[1], thresholds=(), sets_why="no sets: too few patients")
    assert any("It cannot say how sure it is: no sets" in text for text in texts(read(no_sets), "with care"))
    silent = GOOD[0], dataclasses.replace(GOOD[1], thresholds=(1.0, 1.0))
    assert any("It answers only 0% of the images" in text for text in texts(read(silent), "with care"))
    broken = GOOD[0], dataclasses.replace(GOOD[1], thresholds=(0.0005, 0.0005))
    assert any("and promise 90 %" in text for text in texts(read(broken), "with care"))


def test_probabilities_that_are_off_are_a_reason_for_care() -> None:
    found, caution = make_predictions(parts={"val": 100, "calibrate": 150, "test": 600}, images_each=1, skill=1.0)
    sure = found.probabilities**5
    off = dataclasses.replace(found, probabilities=sure / sure.sum(axis=1, keepdims=True))
    assert any("do not mean what they say" in text for text in texts(read((off, caution)), "with care"))


def test_a_group_that_is_served_worse_is_named() -> None:
    found, caution = make_predictions(
        parts={"val": 100, "calibrate": 150, "test": 300},
        images_each=1,
        skill=4.0,
        facts={"site": ("north", "south")},
    )
    south = np.array(found.facts["site"]) == "south"
    p = np.where(south[:, None], np.random.default_rng(0).dirichlet((1, 1), len(found)), found.probabilities)
    told = texts(read((dataclasses.replace(found, probabilities=p), caution)), "with care")
    assert any(text.startswith("It is less often right where site is south") for text in told)
    assert not any("site is north" in text for text in told)


def test_reasons_from_outside_are_weighed_with_the_others() -> None:
    more = Reason(grade="do not", text="Known patients.", source="data")
    assert read(reasons=(more,)).verdict.deciding[0] == more
