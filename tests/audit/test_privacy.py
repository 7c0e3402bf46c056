from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from tests.audit.conftest import MakeSubject, ReadSubject, measured, picture

from overread.audit.privacy import CHECKS, Dated, InPaths, Named, Private, TextInPixels
from overread.audit.subject import Subject
from overread.data.phantom import PhantomSettings, make_phantoms


def saying(make_subject: MakeSubject, keywords: Sequence[Sequence[str]]) -> Subject:
    subject = make_subject([picture(at) for at in range(len(keywords))], ["a", "b"] * (len(keywords) // 2))
    files = {
        row.path: dataclasses.replace(subject.cohort.files[row.path], identifying=tuple(own))
        for row, own in zip(subject.cohort.rows, keywords, strict=True)
    }
    return dataclasses.replace(subject, cohort=dataclasses.replace(subject.cohort, files=files))


def test_a_name_is_serious_and_told_by_its_keyword(make_subject: MakeSubject) -> None:
    finding = Named().look(saying(make_subject, [["PatientName", "InstitutionName"], ["InstitutionName"], [], []]))
    assert finding is not None
    assert (finding.n, finding.severity) == (2, "serious")
    assert finding.evidence == {"files_by_keyword": {"PatientName": 1, "InstitutionName": 2}}
    assert "2 of 4 files" in finding.what
    assert "PatientName can name a person." in finding.what


def test_a_place_or_a_number_is_a_note(make_subject: MakeSubject) -> None:
    finding = Named().look(saying(make_subject, [["AccessionNumber"], ["StationName"]]))
    assert finding is not None
    assert finding.severity == "note"


@pytest.mark.parametrize(("keyword", "severity"), [("StudyDate", "note"), ("PatientBirthDate", "serious")])
def test_full_dates_are_told(make_subject: MakeSubject, keyword: str, severity: str) -> None:
    subject = saying(make_subject, [[keyword], []])
    finding = Dated().look(subject)
    assert finding is not None
    assert (finding.n, finding.severity, finding.where) == (1, severity, ("a/0.png",))
    assert Named().look(subject) is None


def test_of_many_files_the_gravest_are_named_first(make_subject: MakeSubject) -> None:
    subject = saying(make_subject, [["StudyDate", "StationName"]] * 3 + [["PatientBirthDate", "PatientName"]])
    for check in (Dated, Named):
        finding = check().look(subject)
        assert finding is not None
        assert finding.where == ("b/3.png", "a/0.png", "b/1.png", "a/2.png")


def test_text_in_the_pixels_is_serious_where_the_header_says_so(make_subject: MakeSubject) -> None:
    images, labels = [picture(at) for at in range(4)], ["a", "b"] * 2
    told = TextInPixels().look(make_subject(images, labels, tags=[{"burnt_in": "yes"}, {}, {}, {}]))
    seen = TextInPixels().look(make_subject(images, labels, measures=measured(4, letters=[0, 0, 7, 0])))
    assert told is not None
    assert (told.severity, told.n) == ("serious", 1)
    assert seen is not None
    assert (seen.severity, seen.where) == ("note", ("a/2.png",))


def test_private_attributes_are_counted(make_subject: MakeSubject) -> None:
    finding = Private().look(saying(make_subject, [["private attributes"], [], ["private attributes"], []]))
    assert finding is not None
    assert (finding.n, finding.unit, finding.severity) == (2, "files", "note")


@pytest.mark.parametrize("check", CHECKS)
def test_files_that_say_nothing_are_passed(make_subject: MakeSubject, check: type) -> None:
    assert check().look(saying(make_subject, [[], []])) is None


def test_a_path_that_is_a_patient_s_identifier_is_told_and_not_shown(
    read_subject: ReadSubject, tmp_path: Path
) -> None:
    make_phantoms(tmp_path / "ct", PhantomSettings(patients=6, slices=1, seed=3), workers=0)
    finding = InPaths().look(read_subject(tmp_path / "ct/images"))
    assert finding is not None
    assert (finding.n, finding.severity) == (6, "note")
    assert not any("PHANTOM" in shown for shown in finding.where)
    assert len({shown.split("/")[1] for shown in finding.where}) == 6
    for number, folder in enumerate(sorted((tmp_path / "ct/images").glob("*/*"))):
        folder.rename(folder.with_name(f"case {number}"))
    assert InPaths().look(read_subject(tmp_path / "ct/images")) is None


def test_phantoms_have_nothing_but_a_made_up_date_and_a_made_up_name(
    read_subject: ReadSubject, tmp_path: Path
) -> None:
    make_phantoms(tmp_path / "clean", PhantomSettings(patients=6, slices=1, seed=3), workers=0)
    subject = read_subject(tmp_path / "clean/images")
    found = [finding for check in CHECKS if (finding := check().look(subject))]
    assert [(finding.code, finding.severity) for finding in found] == [("P02", "note"), ("P05", "note")]


def test_a_finding_holds_no_value(read_subject: ReadSubject, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "ct", PhantomSettings(patients=6, slices=1, seed=3), workers=0)
    for path in sorted((tmp_path / "ct/images").rglob("*.dcm"))[:3]:
        file = pydicom.dcmread(path)
        file.PatientName, file.OperatorsName, file.PatientBirthDate = "Doe^Jane", "Roe^Richard", "19700102"
        file.private_block(0x0029, "SECRET MAKER", create=True).add_new(1, "LO", "SECRET VALUE")
        file.save_as(path)
    subject = read_subject(tmp_path / "ct/images")
    found = {finding.code: finding for check in CHECKS if (finding := check().look(subject))}
    assert {code: (one.n, one.severity) for code, one in found.items()} == {
        "P01": (3, "serious"),
        "P02": (6, "serious"),
        "P04": (3, "note"),
        "P05": (6, "note"),
    }
    told = json.dumps([finding.to_json() for finding in found.values()])
    assert not [secret for secret in ("Doe", "Roe", "1970", "SECRET") if secret in told]
