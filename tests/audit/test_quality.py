from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.audit.conftest import MakeSubject, ReadSubject, measured, picture

from overread.audit.quality import CHECKS, MixedScales, OddOnesOut, Resolution, Unreadable
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.data.rows import Problem
from overread.settings import ImageSettings


def test_what_could_not_be_read_is_counted_by_kind(make_subject: MakeSubject) -> None:
    subject = make_subject([picture(at) for at in range(40)], ["a", "b"] * 20)
    problems = (
        Problem(path="x.png", kind="empty", message="is empty"),
        Problem(path="y.png", kind="no-file", message="is not there"),
        Problem(path="z.txt", kind="unlisted", message="belongs to no class"),
    )
    cohort = dataclasses.replace(subject.cohort, problems=problems)
    finding = Unreadable().look(dataclasses.replace(subject, cohort=cohort))
    assert finding is not None
    assert finding.evidence["kinds"] == {"empty": 1, "no-file": 1}
    assert finding.severity == "note"


def test_a_localiser_among_axial_slices_is_odd(make_subject: MakeSubject) -> None:
    tags = [{"modality": "CT", "orientation": "axial", "image_type": "AXIAL"} for _ in range(20)]
    tags[3] = {"modality": "CT", "orientation": "coronal", "image_type": "LOCALIZER"}
    finding = OddOnesOut().look(make_subject([picture(at) for at in range(20)], ["a", "b"] * 10, tags=tags))
    assert finding is not None
    assert finding.where == ("b/3.png",)
    assert finding.evidence == {"orientation coronal": 1, "image type LOCALIZER": 1}


def test_odd_ones_of_one_class_are_serious(make_subject: MakeSubject) -> None:
    tags = [{"modality": "CT" if at % 2 else "MR"} for at in range(20)]
    finding = OddOnesOut().look(make_subject([picture(at) for at in range(20)], ["a", "b"] * 10, tags=tags))
    assert finding is not None
    assert (finding.n, finding.severity) == (10, "serious")
    assert "goes with the class" in finding.what


def test_other_types_of_slices_and_other_spellings_are_no_other_kind(make_subject: MakeSubject) -> None:
    tags = [{"image_type": "AXIAL", "body_part": "HEAD"}, {"image_type": "HELIX", "body_part": "Head"}] * 4
    assert OddOnesOut().look(make_subject([picture(at) for at in range(8)], ["a", "b"] * 4, tags=tags)) is None


def test_both_views_of_the_chest_are_several_kinds(make_subject: MakeSubject) -> None:
    tags = [{"view": "PA"}] * 6 + [{"view": "AP"}] * 2
    finding = OddOnesOut().look(make_subject([picture(at) for at in range(8)], ["a", "b"] * 4, tags=tags))
    assert finding is not None
    assert (finding.evidence, finding.severity) == ({"view AP": 2}, "note")


def test_what_is_lost_in_one_class_alone_is_serious(make_subject: MakeSubject) -> None:
    subject = make_subject([picture(at) for at in range(4)] * 50, ["a"] * 190 + ["b"] * 10)
    lost = tuple(Problem(path=f"b/{at}.png", kind="truncated", message="is cut short") for at in range(8))
    finding = Unreadable().look(
        dataclasses.replace(subject, cohort=dataclasses.replace(subject.cohort, problems=lost))
    )
    assert finding is not None
    assert finding.evidence["share"] < 0.05
    assert (finding.severity, "b 8 of 18" in finding.what) == ("serious", True)


@pytest.mark.parametrize(("ours", "severity"), [(range(0, 40, 2), "serious"), (range(4), "note")])
def test_pictures_beside_hounsfield_units_are_told(make_subject: MakeSubject, ours: range, severity: str) -> None:
    subject = make_subject([picture(at) for at in range(40)], ["a", "b"] * 20)
    headers = {
        row.path: dataclasses.replace(subject.cohort.files[row.path], scale="display" if at in ours else "hu")
        for at, row in enumerate(subject.cohort.rows)
    }
    cohort = dataclasses.replace(subject.cohort, files=headers)
    finding = MixedScales().look(dataclasses.replace(subject, cohort=cohort))
    assert finding is not None
    assert finding.severity == severity
    assert finding.evidence["kinds"]["pictures"] == len(ours)


def test_colour_beside_grey_is_told(make_subject: MakeSubject) -> None:
    measures = measured(8, colour=[0.5, 0, 0, 0, 0, 0, 0, 0.001])
    finding = MixedScales().look(make_subject([picture(at) for at in range(8)], ["a", "b"] * 4, measures=measures))
    assert finding is not None
    assert finding.where == ("a/0.png",)


@pytest.mark.parametrize(("rows", "spacing", "n"), [(128, 0.5, 1), (65, 0.5, 0), (64, 1.0, 1), (64, 0.6, 0)])
def test_sizes_far_from_the_rest_are_told(make_subject: MakeSubject, rows: int, spacing: float, n: int) -> None:
    tags = [{"spacing_mm": "0.500x0.500"} for _ in range(12)]
    tags[5] = {"spacing_mm": f"{spacing:.3f}x{spacing:.3f}"}
    subject = make_subject([picture(at) for at in range(12)], ["a", "b"] * 6, tags=tags)
    path = subject.row(5).path
    files = {**subject.cohort.files, path: dataclasses.replace(subject.cohort.files[path], rows=rows)}
    finding = Resolution().look(dataclasses.replace(subject, cohort=dataclasses.replace(subject.cohort, files=files)))
    assert (finding.where if finding else ()) == (path,) * n


@pytest.mark.parametrize("check", CHECKS)
def test_a_clean_cohort_is_passed(make_subject: MakeSubject, check: type) -> None:
    tags = [{"modality": "CT", "orientation": "axial"}] * 20
    images = [picture(at) for at in range(20)]
    assert check().look(make_subject(images, ["a", "b"] * 10, tags=tags)) is None
    assert check().look(make_subject(images, ["a", "b"] * 10, tags=tags, measures=measured(20))) is None


@pytest.mark.slow
@pytest.mark.parametrize("body", ["head", "chest"])
def test_clean_phantoms_are_passed(read_subject: ReadSubject, tmp_path: Path, body: str) -> None:
    make_phantoms(tmp_path / "clean", PhantomSettings(body=body, patients=12, slices=2, seed=4), workers=0)
    subject = read_subject(tmp_path / "clean/images", image=ImageSettings())
    assert [finding for check in CHECKS if (finding := check().look(subject))] == []


def test_air_above_the_head_is_found_in_the_paper_data(shared: Path) -> None:
    from overread.run.audit import audit_source
    from overread.run.job import Job
    from overread.settings import recipe_settings

    job = Job(source=shared / "data/brain-ct/jpg", out=Path(), train=recipe_settings("default", weights="none"))
    found = {one.code: one for one in audit_source(job).findings}
    assert {f"aneurysm/{at}.jpg" for at in (81, 82, 83)} | {"cancer/89.jpg", "cancer/90.jpg"} <= set(
        found["Q02"].where
    )
    assert found["D02"].evidence["exact"] == 6
    assert found["L05"].severity == "fatal"
    assert found["S06"].evidence["balanced_accuracy"] > 0.9
