from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from overread.data.rows import Cohort, Row, patient_hash
from overread.data.split_check import check_groups, check_parts, check_patients, shared_patients
from overread.data.split_rule import Rule
from overread.errors import SplitError


def cohort(patients: str, labels: str, *, parts: str = "", sites: str = "") -> Cohort:
    """One letter a row: its patient (- is unknown), label, part (t, v, e; - is none) and site."""
    words = {"t": "train", "v": "val", "e": "test", "-": None}
    rows = [
        Row(
            path=f"{at}.png",
            label=label,
            patient=None if patients[at] == "-" else f"Name {patients[at]}",
            split=words[parts[at]] if parts else None,
            site=sites[at].replace("-", "") or None if sites else None,
        )
        for at, label in enumerate(labels)
    ]
    known = "none" if set(patients) == {"-"} else "column"
    return Cohort(root=Path(), rows=tuple(rows), classes=tuple(sorted(set(labels))), patients_from=known)


def test_a_patient_a_class_is_refused_in_two_sentences() -> None:
    with pytest.raises(SplitError) as refused:
        check_patients(cohort("AABBC", "xxyyz"), "auto")
    assert str(refused.value) == (
        "Each class here is a single patient (x: 1, y: 1, z: 1), so a model tested on these images would recognise "
        "patients, not disease. Add patients, or accept figures that cannot be trusted with --split image."
    )


def test_one_patient_in_all_is_refused_by_its_hash() -> None:
    with pytest.raises(SplitError, match="All 4 images carry one patient") as refused:
        check_patients(cohort("AAAA", "xxyy"), "auto")
    assert patient_hash("Name A") in str(refused.value)
    assert "Name" not in str(refused.value)


def test_a_class_with_two_patients_is_named() -> None:
    with pytest.raises(
        SplitError, match=r"Class y has too few patients \(x: 3, y: 2; patient needs 3 in each class\)"
    ):
        check_patients(cohort("ABCDE", "xxxyy"), "patient")


def test_three_patients_a_class_pass() -> None:
    check_patients(cohort("ABCDEF", "xxxyyy"), "auto")
    with pytest.raises(SplitError, match="fold 1 of 4 needs 4 in each class"):
        check_patients(cohort("ABCDEF", "xxxyyy"), "fold:1/4")


def test_by_image_is_never_refused_here() -> None:
    check_patients(cohort("AAB", "xxy"), "image")


def test_unknown_patients_pass_until_the_images_are_seen() -> None:
    unknown = cohort("----", "xxyy")
    check_patients(unknown, "auto")
    with pytest.raises(SplitError, match="No patient is known"):
        check_patients(unknown, "patient")
    with pytest.raises(SplitError, match=r"x: 2, y: 1 groups of nearly equal images.*--split image"):
        check_groups(unknown, np.array([0, 1, 2, 2]), Rule(kind="alike"))


def test_a_given_split_that_shares_patients_is_refused_by_hash() -> None:
    with pytest.raises(SplitError, match="2 patients are in more than one part") as refused:
        check_patients(cohort("AABBC", "xyxyx", parts="tetvt"), "auto")
    message = str(refused.value)
    assert f"{patient_hash('Name A')} in train and test, {patient_hash('Name B')} in train and val" in message
    assert "--split patient" in message
    assert "Name" not in message


@pytest.mark.parametrize(
    ("parts", "found"),
    [("ttttt", "no test part"), ("eeeee", "no train part"), ("tte--", "2 of 5 images have no part")],
)
def test_a_given_split_must_be_whole(parts: str, found: str) -> None:
    with pytest.raises(SplitError, match=found):
        check_patients(cohort("ABCDE", "xyxyx", parts=parts), "given")


def test_a_site_must_be_known_and_not_alone() -> None:
    with pytest.raises(SplitError, match="the list names none"):
        check_patients(cohort("ABCD", "xyxy"), "site:N")
    with pytest.raises(SplitError, match="the list names N, S"):
        check_patients(cohort("ABCD", "xyxy", sites="NSNS"), "site:W")
    with pytest.raises(SplitError, match="1 of 4 images have no site"):
        check_patients(cohort("ABCD", "xyxy", sites="NSN-"), "site:N")
    with pytest.raises(SplitError, match="needs that site and another"):
        check_patients(cohort("ABCD", "xyxy", sites="NNNN"), "site:N")


def test_shared_patients_and_their_parts() -> None:
    found = shared_patients(cohort("AABB-", "xyxyx"), ["train", "test", "val", "val", "test"])
    assert found == {"Name A": ["train", "test"]}


def test_parts_are_checked() -> None:
    six = cohort("ABCDEF", "xyxyxy")
    parts = ["train", "train", "val", "val", "test", "test"]
    check_parts(six, parts, np.arange(6))
    with pytest.raises(SplitError, match="two parts"):
        check_parts(six, parts, np.array([0, 1, 0, 2, 3, 4]))
    with pytest.raises(SplitError, match="No image of class y is in the test part"):
        check_parts(six, ["train", "train", "val", "val", "test", ""], None)
