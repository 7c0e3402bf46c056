from __future__ import annotations

import numpy as np
from tests.audit.conftest import MakeSubject, picture

from overread.audit.duplicates import Copies, OnePersonTwice, SameImageInTwoParts, SameImageUnderTwoLabels
from overread.data.rows import patient_hash


def test_a_copy_in_the_test_part_is_found_in_any_position(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(20)]
    images[15] = images[0][:, ::-1].copy()
    images[16] = (images[1] * 0.8 + 20).astype(np.uint8)
    subject = make_subject(images, ["a", "b"] * 10, parts=["train"] * 10 + ["test"] * 10)
    finding = SameImageInTwoParts().look(subject)
    assert finding is not None
    assert finding.evidence["test_images_known"] == 2
    assert finding.evidence["mirrored_or_turned"] == 1
    assert any("mirrored left to right" in pair for pair in finding.where)
    assert finding.severity == "fatal"


def test_a_copy_within_one_part_or_one_patient_is_no_leak(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(8)]
    images[1], images[7] = images[0], images[6]
    patients = [str(at) for at in range(7)] + ["6"]
    parts = ["train"] * 4 + ["test"] * 3 + ["train"]
    subject = make_subject(images, ["a", "b"] * 4, patients=patients, parts=parts)
    assert SameImageInTwoParts().look(subject) is None


def test_one_image_under_two_labels(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(6)]
    images[5] = images[0]
    subject = make_subject(images, ["a", "a", "a", "b", "b", "b"])
    finding = SameImageUnderTwoLabels().look(subject)
    assert finding is not None
    assert finding.where == ("a/0.png = b/5.png",)
    assert finding.evidence["exact"] == 1


def test_neighbours_in_one_series_may_have_two_labels(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(4)]
    images[3] = np.clip(images[0].astype(int) + 2, 0, 255).astype(np.uint8)
    subject = make_subject(images, ["a", "a", "b", "b"], series=["s", "t", "u", "s"])
    assert len(subject.twins) == 1
    assert SameImageUnderTwoLabels().look(subject) is None


def test_one_person_under_two_names_and_a_single_copy_are_told_apart(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(12)]
    images[4:8] = [(image * 0.9).astype(np.uint8) for image in images[:4]]  # patient B is patient A
    images[11] = images[0]  # one image of patient A lies in C's folder
    patients = ["A"] * 4 + ["B"] * 4 + ["C"] * 4
    finding = OnePersonTwice().look(make_subject(images, ["a", "b"] * 6, patients=patients))
    assert finding is not None
    assert finding.evidence["one_person"] == [sorted([patient_hash("A"), patient_hash("B")])]
    assert sorted([patient_hash("A"), patient_hash("C")]) in finding.evidence["single_images"]


def test_copies_within_a_class_are_a_note(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(6)]
    images[2] = images[0]
    finding = Copies().look(make_subject(images, ["a", "b"] * 3))
    assert finding is not None
    assert (finding.severity, finding.n, finding.where) == ("note", 1, ("a/0.png = a/2.png",))


def test_a_cohort_without_copies_is_passed(make_subject: MakeSubject) -> None:
    subject = make_subject(
        [picture(at) for at in range(40)],
        ["a", "b"] * 20,
        patients=[str(at) for at in range(40)],
        parts=["train"] * 20 + ["test"] * 20,
    )
    for check in (SameImageInTwoParts, SameImageUnderTwoLabels, OnePersonTwice, Copies):
        assert check().look(subject) is None
