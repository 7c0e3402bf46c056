from __future__ import annotations

import numpy as np
from tests.audit.conftest import MakeSubject

from overread.audit.labels import Imbalance, LikelyWrong

BLANK = np.zeros((64, 64), np.uint8)


def features_of(truth: list[str], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.array([[label == "a"] for label in truth]) * 3 + rng.normal(0, 0.5, (len(truth), 4))).astype(
        np.float32
    )


def test_labels_that_contradict_the_features_are_named_the_clearest_first(make_subject: MakeSubject) -> None:
    truth = ["a", "b"] * 30
    labels = list(truth)
    labels[4], labels[7] = "b", "a"
    subject = make_subject([BLANK] * 60, labels, patients=[str(at) for at in range(60)], features=features_of(truth))
    finding = LikelyWrong().look(subject)
    assert finding is not None
    assert {name.split(" ")[0] for name in finding.where[:2]} == {"b/4.png", "a/7.png"}
    assert "(more like a)" in " ".join(finding.where)


def test_the_images_of_a_patient_are_judged_together(make_subject: MakeSubject) -> None:
    truth = [label for label in ["a", "b"] * 15 for _ in range(4)]
    labels = list(truth)
    labels[8:12] = ["b"] * 4
    patients = [str(at // 4) for at in range(120)]
    finding = LikelyWrong().look(make_subject([BLANK] * 120, labels, patients=patients, features=features_of(truth)))
    assert finding is not None
    assert set(finding.where[:4]) == {f"b/{at}.png (more like a)" for at in range(8, 12)}


def test_features_that_tell_nothing_accuse_nobody(make_subject: MakeSubject) -> None:
    features = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    assert LikelyWrong().look(make_subject([BLANK] * 60, ["a", "b"] * 30, features=features)) is None


def test_without_a_network_nothing_is_said(make_subject: MakeSubject) -> None:
    assert LikelyWrong().look(make_subject([BLANK] * 4, ["a", "b"] * 2)) is None


def test_a_rare_class_is_told_with_what_accuracy_would_say(make_subject: MakeSubject) -> None:
    subject = make_subject([BLANK] * 40, ["a"] * 36 + ["b"] * 4)
    finding = Imbalance().look(subject)
    assert finding is not None
    assert "always naming the largest class scores 0.900" in finding.what
    assert finding.severity == "note"
    assert finding.evidence == {"images": {"a": 36, "b": 4}, "patients": None, "ratio": 9.0}


def test_a_rare_class_is_also_counted_in_patients_where_they_are_known(make_subject: MakeSubject) -> None:
    patients = [f"p{at // 6}" for at in range(36)] + ["q0", "q0", "q1", "q1"]
    finding = Imbalance().look(make_subject([BLANK] * 40, ["a"] * 36 + ["b"] * 4, patients=patients))
    assert finding is not None
    assert "b 4 images of 2 patients" in finding.what
    assert finding.evidence["patients"] == {"a": 6, "b": 2}


def test_a_very_rare_class_is_serious_and_an_even_cohort_is_passed(make_subject: MakeSubject) -> None:
    rare = Imbalance().look(make_subject([BLANK] * 43, ["a"] * 42 + ["b"]))
    assert rare is not None
    assert rare.severity == "serious"
    assert Imbalance().look(make_subject([BLANK] * 12, ["a"] * 10 + ["b"] * 2)) is None
