from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.audit.conftest import MakeSubject, picture

from overread.audit.quality import CHECKS, BurntIn, Empty, OddOnesOut, Unreadable
from overread.data.rows import Problem


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


def test_a_disc_in_air_shows_nothing(make_subject: MakeSubject) -> None:
    rows, columns = np.mgrid[:64, :64]
    disc = np.where((rows - 32) ** 2 + (columns - 32) ** 2 < 400, 255, 0).astype(np.uint8)
    subject = make_subject([picture(0), disc, picture(1), picture(2)], ["a", "a", "b", "b"])
    finding = Empty().look(subject)
    assert finding is not None
    assert finding.where == ("a/1.png",)


def test_a_localiser_among_axial_slices_is_odd(make_subject: MakeSubject) -> None:
    tags = [{"modality": "CT", "orientation": "axial", "image_type": "AXIAL"} for _ in range(20)]
    tags[3] = {"modality": "CT", "orientation": "coronal", "image_type": "LOCALIZER"}
    finding = OddOnesOut().look(make_subject([picture(at) for at in range(20)], ["a", "b"] * 10, tags=tags))
    assert finding is not None
    assert finding.where == ("b/3.png",)
    assert finding.evidence == {"orientation coronal": 1, "image type LOCALIZER": 1}


def test_text_that_the_header_tells_of_is_serious(make_subject: MakeSubject) -> None:
    tags = [{"burnt_in": "YES"}, {"burnt_in": "NO"}, {}, {}]
    finding = BurntIn().look(make_subject([picture(at) for at in range(4)], ["a", "b"] * 2, tags=tags))
    assert finding is not None
    assert (finding.n, finding.severity) == (1, "serious")


@pytest.mark.parametrize("check", CHECKS)
def test_a_clean_cohort_is_passed(make_subject: MakeSubject, check: type) -> None:
    tags = [{"modality": "CT", "orientation": "axial"}] * 20
    assert check().look(make_subject([picture(at) for at in range(20)], ["a", "b"] * 10, tags=tags)) is None


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
