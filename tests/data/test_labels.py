from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overread.data.labels import join_labels
from overread.data.listing import Listing
from overread.data.pixels import Header
from overread.data.rows import CohortSettings
from overread.errors import CohortError, ImageError


def header(patient: str, study: str, series: str, instance: str) -> Header:
    return Header(
        format="dicom",
        n_frames=1,
        rows=4,
        columns=4,
        scale="hu",
        patient=patient,
        study=study,
        series=series,
        instance=instance,
    )


HEADERS: dict[str, Header | ImageError] = {
    "a/1.dcm": header("P1", "1.1", "1.1.1", "1.1.1.1"),
    "a/2.dcm": header("P1", "1.1", "1.1.1", "1.1.1.2"),
    "b/1.dcm": header("P2", "2.1", "2.1.1", "2.1.1.1"),
    "b/bad.dcm": ImageError("cut short", kind="truncated"),
}


def join(folder: Path, text: str, **settings: Any) -> Listing:
    (folder / "labels.csv").write_text(text)
    return join_labels(folder, HEADERS, CohortSettings(labels=str(folder / "labels.csv"), **settings))


def found(listing: Listing) -> dict[str, str]:
    return {entry.path: entry.label for entry in listing.entries}


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na/1.dcm,x\na/2.dcm,x\nb/1.dcm,y\nb/bad.dcm,y\n",
        "SOPInstanceUID,label\n1.1.1.1,x\n1.1.1.2,x\n2.1.1.1,y\n",
        "SeriesInstanceUID,label\n1.1.1,x\n2.1.1,y\n",
        "series,label\n1.1.1,x\n2.1.1,y\n",
        "StudyInstanceUID,label\n1.1,x\n2.1,y\n",
        "PatientID,label\nP1,x\nP2,y\n",
        "patient;label\nP1;x\nP2;y\n",
        "patient,study,label\nP9,1.1,x\nP9,2.1,y\n",
    ],
)
def test_labels_are_joined_by_the_most_exact_column(tmp_path: Path, text: str) -> None:
    listing = join(tmp_path, text)
    assert found(listing) == {"a/1.dcm": "x", "a/2.dcm": "x", "b/1.dcm": "y"}
    assert listing.problems == ()


def test_other_columns_come_along(tmp_path: Path) -> None:
    listing = join(tmp_path, "patient,label,site,split\nP1,x,north,train\nP2,y,south,test\n")
    assert [(entry.patient, entry.site, entry.split) for entry in listing.entries] == [
        ("P1", "north", "train"),
        ("P1", "north", "train"),
        ("P2", "south", "test"),
    ]


def test_files_without_a_label_and_labels_without_a_file_are_told(tmp_path: Path) -> None:
    listing = join(tmp_path, "patient,label\nP1,x\nP3,y\n,y\n")
    assert [(problem.path, problem.kind) for problem in listing.problems] == [
        ("labels.csv", "bad-row"),
        ("b/1.dcm", "no-label"),
        ("labels.csv", "no-file"),
    ]
    assert "P3" not in " ".join(problem.message for problem in listing.problems)


def test_a_patient_with_two_labels_is_left_out(tmp_path: Path) -> None:
    listing = join(tmp_path, "patient,label\nP1,x\nP1,y\nP2,y\n")
    assert found(listing) == {"b/1.dcm": "y"}
    assert {problem.kind for problem in listing.problems} == {"two-labels"}


def test_a_table_that_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no column that tells which image"):
        join(tmp_path, "name,label\nJane,x\n")
    with pytest.raises(CohortError, match="no column 'label'"):
        join(tmp_path, "path,class\na,x\n")
    with pytest.raises(CohortError, match="--labels"):
        join_labels(tmp_path, HEADERS, CohortSettings(labels=str(tmp_path / "none.csv")))
