from __future__ import annotations

from pathlib import Path

import pytest

from overread.data.pixels import Header
from overread.data.rows import Cohort, CohortSettings, Problem, Row, count_problems, patient_hash, show_problems
from overread.errors import SettingsError


@pytest.fixture
def cohort() -> Cohort:
    rows = [
        Row(path="a.png", label="b", patient="Jane Doe"),
        Row(path="v.nii", label="c", frame=0),
        Row(path="v.nii", label="b", frame=1),
    ]
    header = Header(format="png", n_frames=1, rows=2, columns=2, scale="display")
    files = {"a.png": header, "v.nii": header, "unused.png": header}
    return Cohort(root=Path("root"), rows=tuple(rows), classes=("b", "c"), files=files)


def test_labels_are_places_in_the_classes(cohort: Cohort) -> None:
    assert cohort.labels().tolist() == [0, 1, 0]
    assert cohort.labels().dtype == "int64"


def test_a_subset_keeps_the_classes_and_the_order_asked_for(cohort: Cohort) -> None:
    subset = cohort.subset([2, 0])
    assert [row.path for row in subset.rows] == ["v.nii", "a.png"]
    assert subset.classes == ("b", "c")
    assert subset.labels().tolist() == [0, 0]
    assert len(subset) == 2


def test_without_leaves_out_every_frame_of_a_file(cohort: Cohort) -> None:
    assert [row.path for row in cohort.without(["v.nii"]).rows] == ["a.png"]


def test_problems_of_many_kinds_are_all_shown() -> None:
    many = [Problem(path=f"{at}.png", kind="no-label", message="no row") for at in range(100)]
    problems = [*many, Problem(path="x.png", kind="empty", message="0 bytes")]
    assert count_problems(problems) == "101 inputs that cannot be used (empty 1, no-label 100)"
    lines = show_problems(problems, at_most=6)
    assert lines[:3] == ["  0.png: no row", "  1.png: no row", "  2.png: no row"]
    assert lines[3:] == ["  ... and 97 more of this kind", "  x.png: 0 bytes"]
    assert show_problems([], at_most=6) == []


def test_headers_are_one_a_file_that_is_used(cohort: Cohort) -> None:
    assert len(cohort.headers()) == 2


def test_no_patient_is_printed(cohort: Cohort) -> None:
    assert "Jane" not in repr(cohort) + repr(cohort.rows[0])
    assert cohort.patients() == ["Jane Doe", None, None]


def test_a_hash_is_short_and_stable() -> None:
    assert patient_hash("P1") == patient_hash("P1") != patient_hash("P2")
    assert len(patient_hash("ä" * 100)) == 8


@pytest.mark.parametrize("regex", ["(", "p[0-9]+", "(a)(b)", "(?P<who>a)(b)"])
def test_a_pattern_without_one_clear_group_is_refused(regex: str) -> None:
    with pytest.raises(SettingsError, match="--patient-regex"):
        CohortSettings(patient_regex=regex)


@pytest.mark.parametrize("regex", ["(p[0-9]+)", "(?P<patient>a)(b)"])
def test_a_pattern_with_one_group_or_a_named_one_is_taken(regex: str) -> None:
    assert CohortSettings(patient_regex=regex).patient_regex == regex
