from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.cohort import Cohort, CohortSettings, read_cohort
from overread.errors import CohortError

MakeDicom = Callable[..., Path]


def picture(path: Path, pages: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = Pillow.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    more = {"save_all": True, "append_images": [ramp] * (pages - 1)} if pages > 1 else {}
    ramp.save(path, **more)


def pictures(root: Path, *paths: str) -> None:
    for path in paths:
        picture(root / path)


def read(source: Path, text: str | None = None, **settings: Any) -> Cohort:
    if text is not None:
        (source / "list.csv").write_text(text)
        source = source / "list.csv"
    return read_cohort(source, CohortSettings(**settings))


def kinds(cohort: Cohort) -> dict[str, str]:
    return {problem.path: problem.kind for problem in cohort.problems}


def test_a_folder_of_classes(tmp_path: Path) -> None:
    pictures(tmp_path, "b/1.png", "a/2.png", "a/deep/1.png")
    cohort = read(tmp_path)
    assert [(row.path, row.label, row.frame) for row in cohort.rows] == [
        ("a/2.png", "a", 0),
        ("a/deep/1.png", "a", 0),
        ("b/1.png", "b", 0),
    ]
    assert (cohort.classes, cohort.patients_from, cohort.problems) == (("a", "b"), "none", ())
    assert cohort.locate(cohort.rows[0]).is_file()


def test_classes_are_sorted_by_the_size_of_their_numbers(tmp_path: Path) -> None:
    pictures(tmp_path, *[f"{name}/1.png" for name in ("grade 10", "grade 2", "Grade 1")])
    assert read(tmp_path).classes == ("Grade 1", "grade 2", "grade 10")


def test_every_bad_file_of_a_folder_is_listed_with_its_reason(tmp_path: Path) -> None:
    pictures(tmp_path, "a/good.png", "b/good.png")
    (tmp_path / "a/empty.png").touch()
    (tmp_path / "a/notes.dcm").write_text("These are notes, not an image")
    (tmp_path / "b/cut.png").write_bytes((tmp_path / "b/good.png").read_bytes()[:20])
    cohort = read(tmp_path)
    assert kinds(cohort) == {"a/empty.png": "empty", "a/notes.dcm": "not-an-image", "b/cut.png": "truncated"}
    assert all(problem.message for problem in cohort.problems)
    assert len(cohort) == 2


def test_every_bad_row_of_a_list_is_listed_with_its_reason(tmp_path: Path) -> None:
    pictures(tmp_path, *[f"{at}.png" for at in range(1, 8)])
    text = (
        "path,label,split\n1.png,x,train\n2.png,y,test\ngone.png,x,train\n3.png,,train\n4.png,x,test\n4.png,x,test\n"
        "5.png,x,test\n5.png,y,test\n6.png,x,sometimes\n"
    )
    cohort = read(tmp_path, text)
    assert [row.path for row in cohort.rows] == ["1.png", "2.png", "4.png"]
    assert kinds(cohort) == {
        "gone.png": "no-file",
        "3.png": "no-label",
        "4.png": "two-rows",
        "5.png": "two-labels",
        "6.png": "bad-split",
        "7.png": "no-label",
    }
    assert "line 4 of list.csv" in next(p.message for p in cohort.problems if p.kind == "no-file")
    assert len(cohort) + len([problem for problem in cohort.problems if problem.path != "7.png"]) == 9


def test_patients_come_from_the_column_before_the_path_before_the_header(
    tmp_path: Path, make_dicom: MakeDicom
) -> None:
    for at in (1, 2):
        make_dicom(name=f"p{at}_s.dcm", PatientID=f"D{at}")
    text = "path,label,patient\np1_s.dcm,x,C1\np2_s.dcm,y,C2\n"
    cohort = read(tmp_path, text, patient_regex="(p[0-9])")
    assert (cohort.patients_from, cohort.patients()) == ("column", ["C1", "C2"])
    text = "path,label\np1_s.dcm,x\np2_s.dcm,y\n"
    cohort = read(tmp_path, text, patient_regex="(p[0-9])")
    assert (cohort.patients_from, cohort.patients()) == ("path", ["p1", "p2"])
    cohort = read(tmp_path, text)
    assert (cohort.patients_from, cohort.patients()) == ("dicom", ["D1", "D2"])


def test_an_empty_patient_is_no_patient(tmp_path: Path, make_dicom: MakeDicom) -> None:
    make_dicom(name="1.dcm", PatientID="")
    make_dicom(name="2.dcm", PatientID="  ")
    cohort = read(tmp_path, "path,label\n1.dcm,x\n2.dcm,y\n")
    assert (cohort.patients_from, cohort.patients()) == ("none", [None, None])


def test_patients_known_in_part_stay_unknown_where_their_source_is_silent(
    tmp_path: Path, make_dicom: MakeDicom
) -> None:
    make_dicom(name="1.dcm", PatientID="D1")
    make_dicom(name="2.dcm", PatientID="D2")
    cohort = read(tmp_path, "path,label,patient\n1.dcm,x,C1\n2.dcm,y,\n")
    assert cohort.patients() == ["C1", None]


def test_a_path_without_a_patient_is_a_problem(tmp_path: Path) -> None:
    pictures(tmp_path, "a/p1_1.png", "b/p2_1.png", "b/other.png")
    cohort = read(tmp_path, patient_regex="(?P<patient>p[0-9]+)_")
    assert cohort.patients() == ["p1", "p2"]
    assert kinds(cohort) == {"b/other.png": "no-patient"}


def test_headers_give_study_series_and_tags(tmp_path: Path, make_dicom: MakeDicom) -> None:
    make_dicom(name="1.dcm", ConvolutionKernel="FC30", Manufacturer="Maker", BodyPartExamined="HEAD")
    make_dicom(name="2.dcm", SeriesInstanceUID="9.9")
    rows = read(tmp_path, "path,label,series\n1.dcm,x,\n2.dcm,y,S\n").rows
    assert (rows[0].study, rows[0].series) == ("1.2.3", "1.2.3.4")
    assert (rows[0].tags["kernel"], rows[0].tags["manufacturer"]) == ("FC30", "Maker")
    assert rows[1].series == "S"


def test_frames_of_a_dicom_file_are_rows_of_one_patient_and_series(tmp_path: Path, make_dicom: MakeDicom) -> None:
    stored = np.arange(3 * 16, dtype=np.int16).reshape(3, 4, 4)
    make_dicom(stored, name="1.dcm")
    picture(tmp_path / "2.png")
    rows = read(tmp_path, "path,label\n1.dcm,x\n2.png,y\n").rows
    assert [(row.path, row.frame) for row in rows] == [("1.dcm", 0), ("1.dcm", 1), ("1.dcm", 2), ("2.png", 0)]
    assert {(row.patient, row.series) for row in rows[:3]} == {("P1", "1.2.3.4")}


def test_slices_of_a_volume_and_pages_of_a_document_are_one_series(tmp_path: Path) -> None:
    for name in ("1.nii", "2.nii.gz"):
        nibabel.save(
            nibabel.Nifti1Image(np.arange(32, dtype=np.float32).reshape(4, 4, 2), np.eye(4)), tmp_path / name
        )
    picture(tmp_path / "3.tif", pages=3)
    rows = read(tmp_path, "path,label\n1.nii,x\n2.nii.gz,y\n3.tif,x\n").rows
    assert Counter((row.path, row.series is not None) for row in rows) == {
        ("1.nii", True): 2,
        ("2.nii.gz", True): 2,
        ("3.tif", True): 3,
    }
    assert len({row.series for row in rows}) == 3


def test_frames_can_have_labels_of_their_own(tmp_path: Path) -> None:
    picture(tmp_path / "3.tif", pages=3)
    cohort = read(tmp_path, "path,frame,label\n3.tif,0,x\n3.tif,2,y\n3.tif,3,y\n")
    assert [(row.frame, row.label) for row in cohort.rows] == [(0, "x"), (2, "y")]
    assert kinds(cohort) == {"3.tif": "bad-row"}


def test_an_npz_has_no_series(tmp_path: Path) -> None:
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    np.savez(tmp_path / "set.npz", train_images=images, train_labels=np.array([[0], [1], [1]]))
    rows = read(tmp_path / "set.npz").rows
    assert [(row.frame, row.label, row.series) for row in rows] == [(0, "0", None), (1, "1", None), (2, "1", None)]


def test_a_dicom_tree_takes_labels_from_a_csv_that_may_lie_in_it(tmp_path: Path, make_dicom: MakeDicom) -> None:
    for at in (1, 2, 3):
        make_dicom(name=f"{at}.dcm", PatientID=f"P{at}")
    (tmp_path / "bad.dcm").write_bytes((tmp_path / "1.dcm").read_bytes()[:300])
    (tmp_path / "labels.csv").write_text("PatientID,label\nP1,x\nP2,y\nP4,y\n")
    cohort = read(tmp_path, labels=str(tmp_path / "labels.csv"))
    assert [(row.path, row.label, row.patient) for row in cohort.rows] == [("1.dcm", "x", "P1"), ("2.dcm", "y", "P2")]
    assert kinds(cohort) == {"bad.dcm": "truncated", "3.dcm": "no-label", "labels.csv": "no-file"}
    assert cohort.patients_from == "dicom"
    (tmp_path / "elsewhere").mkdir()
    again = read(tmp_path, labels=str(tmp_path / "elsewhere/../labels.csv"))
    assert again.problems == cohort.problems


def test_no_message_names_a_patient(tmp_path: Path, make_dicom: MakeDicom) -> None:
    for at in (1, 2, 3):
        make_dicom(name=f"{at}.dcm", PatientID=f"JaneDoe{at}")
    (tmp_path / "labels.csv").write_text("PatientID,label\nJaneDoe1,x\nJaneDoe2,y\nJaneDoe7,y\n")
    cohort = read(tmp_path, labels=str(tmp_path / "labels.csv"))
    assert len(cohort.problems) == 2
    assert "Jane" not in repr(cohort) + repr(cohort.problems) + repr(cohort.rows) + repr(cohort.files)


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(CohortError, match="is one image"):
        read(tmp_path / "1.png")
    with pytest.raises(CohortError, match="is not there"):
        read(tmp_path / "none")
    with pytest.raises(CohortError, match="is empty"):
        read(tmp_path / "empty.csv")
    with pytest.raises(CohortError, match="--labels goes with a folder"):
        read(tmp_path, "path,label\n", labels="labels.csv")


def test_one_class_is_refused_with_the_reasons(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png")
    with pytest.raises(CohortError, match=r"one class \(x\).*1 input that .* \(no-file 1\)\.\n  gone\.png: line 4"):
        read(tmp_path, "path,label\n1.png,x\n2.png,x\ngone.png,y\n")
    with pytest.raises(CohortError, match="no image that can be used"):
        read(tmp_path, "path,label\ngone.png,y\n")


def test_a_class_written_in_two_ways_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png", "3.png")
    with pytest.raises(CohortError, match=r"in several ways \(Tumor, tumor\)"):
        read(tmp_path, "path,label\n1.png,tumor\n2.png,Tumor\n3.png,none\n")


def test_files_that_are_named_twice_by_other_spellings_are_found(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "a/2.png", "3.png")
    (tmp_path / "link.png").symlink_to("a/1.png")
    (tmp_path / "b").symlink_to("a")
    text = f"path,label\na/1.png,x\n./a//1.png,x\nlink.png,x\na\\1.png,x\n{tmp_path}/b/1.png,x\na/2.png,y\n3.png,y\n"
    cohort = read(tmp_path, text)
    assert [row.path for row in cohort.rows] == ["a/1.png", "a/2.png", "3.png"]
    assert [problem.kind for problem in cohort.problems] == ["two-rows"] * 4
    assert "line 4 of list.csv names the file that line 2 of list.csv names as a/1.png" in cohort.problems[1].message


@pytest.mark.parametrize("path", ["x" * 5000, "x/" * 3000, "1.png/2.png", "bad\x7fname", "~", "http://host/1.png"])
def test_a_path_that_can_be_no_file_is_a_problem(tmp_path: Path, path: str) -> None:
    pictures(tmp_path, "1.png", "2.png")
    cohort = read(tmp_path, f"path,label\n1.png,x\n2.png,y\n{path},x\n")
    assert len(cohort) == 2
    assert len(cohort.problems) == 1


def test_a_link_to_nothing_in_a_class_folder_is_a_problem(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "b/2.png").symlink_to("gone.png")
    cohort = read(tmp_path)
    assert [(problem.path, problem.kind) for problem in cohort.problems] == [("b/2.png", "no-file")]
    assert cohort.problems[0].message == "it is a link, and the file is not there"


def test_ten_thousand_files_are_listed_in_seconds(tmp_path: Path) -> None:
    picture(tmp_path / "a/0.png")
    content = (tmp_path / "a/0.png").read_bytes()
    (tmp_path / "b").mkdir()
    for at in range(1, 10_000):
        (tmp_path / f"{'ab'[at % 2]}/{at}.png").write_bytes(content)
    started = time.perf_counter()
    assert len(read(tmp_path)) == 10_000
    assert time.perf_counter() - started < 20  # takes 2 on an idle machine
    shutil.rmtree(tmp_path)  # pytest would keep them for three sessions


def test_a_label_for_each_image_is_no_class(tmp_path: Path) -> None:
    pictures(tmp_path, *[f"{at}.png" for at in range(30)])
    with pytest.raises(CohortError, match="30 different labels for 30 images"):
        read(tmp_path, "path,label\n" + "".join(f"{at}.png,{at}\n" for at in range(30)))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that bind")
def test_a_file_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "b/1.png", "b/2.png")
    (tmp_path / "b/2.png").chmod(0)
    assert kinds(read(tmp_path)) == {"b/2.png": "unreadable"}
