from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.audit.conftest import MakeSubject, ReadSubject, measured, picture
from tests.audit.test_appearance import as_ct

from overread.audit.hounsfield import WrongHounsfield
from overread.audit.subject import Subject
from overread.data.phantom import PhantomSettings, make_phantoms

SERIES = [f"s{at // 2}" for at in range(12)]


def ct(make_subject: MakeSubject, **values: float | list[float]) -> Subject:
    images = [picture(at) for at in range(12)]
    return as_ct(make_subject(images, ["a", "b"] * 6, series=SERIES, measures=measured(12, **values)))


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ({"low": 0, "floor": 19, "median": 100, "p99": 2124}, "serious"),
        ({"median": 700}, "serious"),
        ({"low": -2048, "floor": -2030, "p99": 76}, "serious"),
        ({"low": 0, "floor": 1, "median": 90, "p99": 250, "high": 255}, "serious"),
        ({"low": -160, "floor": -150, "p99": 240, "high": 240, "lowest_share": 0.4, "highest_share": 0.05}, "note"),
        ({"low": -190, "floor": -120, "median": 40, "p99": 600}, "note"),
    ],
)
def test_values_that_cannot_be_are_told(make_subject: MakeSubject, values: dict[str, float], severity: str) -> None:
    finding = WrongHounsfield().look(ct(make_subject, **values))
    assert finding is not None
    assert (finding.n, finding.severity) == (12, severity)
    assert len(finding.evidence["reasons"]) == 1


def test_one_series_with_other_air_than_the_rest_is_serious(make_subject: MakeSubject) -> None:
    finding = WrongHounsfield().look(ct(make_subject, floor=[-505.0] * 2 + [-1005.0] * 10))
    assert finding is not None
    assert finding.where == ("a/0.png", "b/1.png")
    assert finding.severity == "serious"


def test_padding_around_the_field_of_view_is_no_fault(make_subject: MakeSubject) -> None:
    assert WrongHounsfield().look(ct(make_subject, low=-2048, lowest_share=0.21)) is None


def test_pictures_are_not_asked(make_subject: MakeSubject) -> None:
    subject = make_subject([picture(0), picture(1)], ["a", "b"], measures=measured(2, low=0, floor=10))
    assert WrongHounsfield().look(subject) is None


def test_a_missing_intercept_is_found_in_files(read_subject: ReadSubject, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "ct", PhantomSettings(patients=6, slices=1, seed=2), workers=0)
    paths = sorted((tmp_path / "ct/images").rglob("*.dcm"))
    file = pydicom.dcmread(paths[0])
    file.RescaleIntercept = 0
    file.save_as(paths[0])
    finding = WrongHounsfield().look(read_subject(tmp_path / "ct/images"))
    assert finding is not None
    assert finding.where == (paths[0].relative_to(tmp_path / "ct/images").as_posix(),)


def test_the_paper_data_have_hounsfield_units(shared: Path, read_subject: ReadSubject) -> None:
    subject = read_subject(shared / "data/brain-ct/dicom")
    assert WrongHounsfield().look(subject) is None
    assert np.isfinite(subject.measures).all()
