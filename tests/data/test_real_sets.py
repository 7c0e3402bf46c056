"""The real sets, from their lists to their splits."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from overread.data.cohort import Cohort, CohortSettings, read_cohort
from overread.data.split import PARTS, SHARED, UNKNOWN, check_patients, split_cohort
from overread.errors import CohortError, SplitError


def read(source: Path, **settings: Any) -> Cohort:
    return read_cohort(source, CohortSettings(**settings))


def kinds(cohort: Cohort) -> dict[str, str]:
    return {problem.path: problem.kind for problem in cohort.problems}


def test_brain_ct_as_pictures(shared: Path) -> None:
    cohort = read(shared / "data/brain-ct/jpg")
    assert Counter(row.label for row in cohort.rows) == {"aneurysm": 84, "cancer": 91, "tumor": 84}
    assert (cohort.patients_from, cohort.problems) == ("none", ())


def test_brain_ct_as_dicom_is_read_in_a_moment(shared: Path) -> None:
    started = time.perf_counter()
    cohort = read(shared / "data/brain-ct/dicom")
    assert time.perf_counter() - started < 3
    assert (len(cohort), cohort.patients_from, len(set(cohort.patients()))) == (115, "dicom", 3)
    assert {header.scale for header in cohort.headers()} == {"hu"}


def test_the_publishers_own_list_of_brain_ct(shared: Path) -> None:
    folder = shared / "data/brain-ct"
    with pytest.raises(CohortError, match=r"no column 'path'; its columns are dcm, jpg, type"):
        read(folder / "ct_brain.csv")
    columns = {"path_column": "jpg", "label_column": "type"}
    cohort = read(folder / "ct_brain.csv", **columns, root=str(folder / "jpg"))
    assert len(cohort) == 256
    # the publisher's own oversight: one file of each class has no row
    assert kinds(cohort) == {f"{name}/19.jpg": "no-label" for name in ("aneurysm", "cancer", "tumor")}
    with pytest.raises(CohortError, match=r"no image that can be used; .* 256 files are not where it says; --root"):
        read(folder / "ct_brain.csv", **columns)


def test_most_dicom_files_of_the_publishers_list_are_missing(shared: Path) -> None:
    folder = shared / "data/brain-ct"
    columns = {"path_column": "dcm", "label_column": "type"}
    cohort = read(folder / "ct_brain.csv", **columns, root=str(folder / "dicom"))
    assert Counter(problem.kind for problem in cohort.problems) == {"no-file": 256 - len(cohort), "no-label": 3}


def test_covid_ct(shared: Path) -> None:
    cohort = read(shared / "data/covid-ct/cohort.csv")
    assert (len(cohort), cohort.patients_from, len(set(cohort.patients()))) == (746, "column", 384)
    assert Counter(row.split for row in cohort.rows) == {"train": 425, "val": 118, "test": 203}
    assert cohort.problems == ()


def test_pneumoniamnist(shared: Path) -> None:
    cohort = read(shared / "data/pneumoniamnist/pneumoniamnist.npz")
    assert Counter(row.split for row in cohort.rows) == {"train": 4708, "val": 524, "test": 624}
    assert cohort.classes == ("0", "1")


def test_brain_ct_by_image_is_207_25_27(shared: Path) -> None:
    cohort = read_cohort(shared / "data/brain-ct/jpg")
    split = split_cohort(cohort, by="image", fractions=(0.8, 0.1, 0.1))
    assert [len(split.indices(part)) for part in PARTS] == [207, 25, 27]
    assert split.marks == (SHARED, UNKNOWN)


def test_brain_ct_as_dicom_is_refused(shared: Path) -> None:
    cohort = read_cohort(shared / "data/brain-ct/dicom")
    with pytest.raises(SplitError) as refused:
        check_patients(cohort, "auto")
    assert str(refused.value) == (
        "Each class here is a single patient (aneurysm: 1, cancer: 1, tumor: 1), so a model tested on these images "
        "would recognise patients, not disease. Add patients, or accept figures that cannot be trusted with --split "
        "image."
    )
    with pytest.raises(SplitError, match="--split image"):
        split_cohort(cohort)
    assert split_cohort(cohort, by="image").marks == (SHARED,)


def test_covid_ct_keeps_its_own_split(shared: Path) -> None:
    cohort = read_cohort(shared / "data/covid-ct/cohort.csv")
    split = split_cohort(cohort)
    assert Counter(split.parts) == {"train": 425, "val": 118, "test": 203}
    assert (split.unit, split.marks) == ("given", ())
    parts_of: dict[str | None, set[str]] = {}
    for row, part in zip(cohort.rows, split.parts, strict=True):
        parts_of.setdefault(row.patient, set()).add(part)
    assert len(parts_of) == 384
    assert {len(parts) for parts in parts_of.values()} == {1}


@pytest.mark.parametrize("seed", range(3))
def test_covid_ct_divided_anew_keeps_its_384_patients_whole(shared: Path, seed: int) -> None:
    cohort = read_cohort(shared / "data/covid-ct/cohort.csv")
    split = split_cohort(cohort, by="patient", seed=seed)
    of_part = [{cohort.rows[at].patient for at in split.indices(part)} for part in PARTS]
    assert sum(len(patients) for patients in of_part) == len(set.union(*of_part)) == 384
    share = cohort.labels().mean()
    for part, wanted in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
        rows = split.indices(part)
        assert len(rows) / len(cohort) == pytest.approx(wanted, abs=0.03)
        assert cohort.labels()[rows].mean() == pytest.approx(share, abs=0.05)


def test_pneumoniamnist_keeps_its_own_split(shared: Path) -> None:
    cohort = read_cohort(shared / "data/pneumoniamnist/pneumoniamnist.npz")
    split = split_cohort(cohort)
    assert Counter(split.parts) == {"train": 4708, "val": 524, "test": 624}
    assert (split.unit, split.marks) == ("given", (UNKNOWN,))
