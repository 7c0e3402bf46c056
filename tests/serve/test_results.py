from __future__ import annotations

import dataclasses
import io
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from tests.serve.standard import faults_of

from overread.errors import ServiceError
from overread.serve import codes
from overread.serve.results import Answered, ModelSaid, digest, make_capture, make_report, to_bytes
from overread.serve.sources import repeatable

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DCIODVFY, DSRDUMP = Path("/usr/bin/dciodvfy"), Path("/usr/bin/dsrdump")
MODEL = ModelSaid(
    name="brain-ct",
    sha256="ab" * 32,
    classes=("aneurysm", "cancer", "a rare disease with a long name"),
    intended_use="Research use, not a medical device.",
    marks=("Trained on nothing.",),
)


@pytest.fixture
def answered(slices: list[Path]) -> list[Answered]:
    probabilities = {"aneurysm": 0.123456789, "cancer": 0.2, "a rare disease with a long name": 0.676543211}
    return [
        Answered(
            dataset=dcmread(path, stop_before_pixels=True),
            frame=0,
            label="a rare disease with a long name",
            probabilities=probabilities,
            classes=("cancer", "a rare disease with a long name"),
            abstains="" if number else "unlike the training images",
        )
        for number, path in enumerate(slices[:4])
    ]


def _capture(answered: list[Answered]) -> Dataset:
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    return make_capture(answered[0].dataset, picture, MODEL, at=AT, number=1, answers=digest(answered))


def _odd(dataset: Dataset) -> Dataset:
    """A source with a name beyond ASCII, and without what a scanner may leave out."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller^Žofie"
    dataset.StudyID = ""
    dataset.TimezoneOffsetFromUTC = "+0100"
    for name in ("AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "PatientSex"):
        if name in dataset:
            dataset[name].value = None
    return dataset


def test_report_and_capture_tell_the_same_of_patient_and_study(answered: list[Answered]) -> None:
    """Of a study whose objects differ an archive shows what came last: its description went with the capture."""
    source = _odd(answered[0].dataset)
    source.StudyDescription, source.IssuerOfPatientID, source.PatientAge = "Schädel", "Klinik", "071Y"
    for made in (make_report(answered, MODEL, at=AT), _capture(answered)):
        stored = dcmread(io.BytesIO(to_bytes(made)))
        for name in ("PatientName", "PatientID", "StudyDescription", "IssuerOfPatientID", "PatientAge", "StudyID"):
            assert stored[name].value == source[name].value, (made.Modality, name)


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dicom3tools are not installed (Debian: dicom3tools)")
@pytest.mark.parametrize("is_odd", [False, True])
def test_a_validator_finds_no_error(answered: list[Answered], tmp_path: Path, is_odd: bool) -> None:
    if is_odd:
        for one in answered:
            _odd(one.dataset)
    for name, made in (("sr", make_report(answered, MODEL, at=AT)), ("sc", _capture(answered))):
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(to_bytes(made))
        assert _errors(path) == []


@pytest.mark.parametrize("is_odd", [False, True])
def test_another_validator_finds_nothing_but_what_was_spoilt(
    answered: list[Answered], tmp_path: Path, is_odd: bool
) -> None:
    if is_odd:
        for one in answered:
            _odd(one.dataset)
    report, capture = make_report(answered, MODEL, at=AT), _capture(answered)
    assert _objections(report, tmp_path) == _objections(capture, tmp_path) == []
    del report.VerificationFlag, report.ContentSequence[1].RelationshipType, capture.ConversionType
    _numbers(report)[0].TextValue = "0.5"
    report.KVP = 120
    assert _objections(report, tmp_path) == [
        "General: (0018,0060): TagUnexpected",
        "sr-document-content: (0040,A730) / (0040,A010): TagMissing",
        "sr-document-content: (0040,A730) / (0040,A730) / (0040,A730) / (0040,A160): TagNotAllowed",
        "sr-document-general: (0040,A493): TagMissing",
    ]
    assert _objections(capture, tmp_path) == ["sc-equipment: (0008,0064): TagMissing"]


def _objections(made: Dataset, folder: Path) -> list[str]:
    path = folder / "made.dcm"
    path.write_bytes(to_bytes(made))
    return sorted(faults_of(path))


def _numbers(item: Dataset) -> list[Dataset]:
    below = [found for one in item.get("ContentSequence", []) for found in _numbers(one)]
    return [item, *below] if item.ValueType == "NUM" else below


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (None, "Muller^Jorg"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Žofie"),
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
@pytest.mark.parametrize("label", ["Tumör", "腫瘍"])
def test_text_beyond_ascii_is_written_as_it_is(
    answered: list[Answered], tmp_path: Path, character_set: Any, name: str, label: str
) -> None:
    """Whatever the source's own character set is, and its patient's name with it."""
    source = answered[0].dataset
    if character_set is not None:
        source.SpecificCharacterSet = character_set
    source.PatientName, source.OtherPatientNames = name, [name, "Doe^Jane"]
    source.save_as(tmp_path / "source.dcm")
    one = dataclasses.replace(
        answered[0],
        dataset=as_repeated(dcmread(tmp_path / "source.dcm")),
        label=label,
        probabilities={label: 0.75, "cancer": 0.25},
        classes=(label,),
        abstains="",
    )
    model = dataclasses.replace(
        MODEL, name=f"{label} 1", classes=(label, "cancer"), intended_use=f"{label}?", marks=(f"{label}!",)
    )
    for whose in (model, MODEL):
        (tmp_path / "sr.dcm").write_bytes(to_bytes(make_report([one], whose, at=AT)))
        back = dcmread(tmp_path / "sr.dcm")
        assert back.SpecificCharacterSet == "ISO_IR 192"
        assert (str(back.PatientName), [str(one) for one in back.OtherPatientNames]) == (name, [name, "Doe^Jane"])
        said = {str(element.value) for element in back.iterall()}
        assert {label, f"Probability of {label}", whose.name, whose.intended_use, *whose.marks} <= said
        assert _errors(tmp_path / "sr.dcm") == faults_of(tmp_path / "sr.dcm") == []


def _errors(path: Path) -> list[str]:
    """What a validator says; nothing where it is not installed."""
    if not DCIODVFY.exists():
        return []
    said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, timeout=60).stderr
    return [line for line in said.splitlines() if "Error" in line]


def test_what_is_ascii_leaves_the_source_its_character_set(answered: list[Answered]) -> None:
    source = answered[0].dataset
    source.SpecificCharacterSet, source.PatientName = "ISO_IR 100", "Müller^Jörg"
    for made in (make_report(answered, MODEL, at=AT), _capture(answered)):
        back = dcmread(io.BytesIO(to_bytes(made)))
        assert (back.SpecificCharacterSet, back.PatientName) == ("ISO_IR 100", "Müller^Jörg")


@pytest.mark.skipif(not DSRDUMP.exists(), reason="dcmtk is not installed (Debian: dcmtk)")
def test_another_toolkit_reads_the_report(answered: list[Answered], tmp_path: Path) -> None:
    (tmp_path / "sr.dcm").write_bytes(to_bytes(make_report(answered, MODEL, at=AT)))
    found = subprocess.run([DSRDUMP, "+Pl", tmp_path / "sr.dcm"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert "No answer: unlike the training images" in found.stdout
    assert found.stdout.count('"Probability of aneurysm")="0.123456789"') == 4
    assert found.stdout.count("Source of Measurement") == 4
    assert MODEL.sha256 in found.stdout


def test_where_there_is_no_answer_no_class_is_told_as_one(answered: list[Answered]) -> None:
    apart = dataclasses.replace(answered[1], abstains="cannot tell cancer and a rare disease apart")
    report = make_report([answered[0], apart, answered[2]], MODEL, at=AT)
    unlike, apart_group, answer = (
        [(item.ConceptNameCodeSequence[0].CodeMeaning, item) for item in group.ContentSequence]
        for group in next(
            item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"
        ).ContentSequence
    )
    names = [[name for name, item in group if item.ValueType == "CODE"] for group in (unlike, apart_group, answer)]
    in_set = "Class in the set of possible classes"
    assert names[0] == ["Answer of the model", "Likeliest class, which is no answer"]
    assert names[1] == [*names[0], in_set, in_set]
    assert names[2] == ["Likeliest class", in_set, in_set]
    qualified = [
        [item.get("NumericValueQualifierCodeSequence", []) for _, item in group if item.ValueType == "NUM"]
        for group in (unlike, apart_group, answer)
    ]
    assert [one[0].CodeMeaning for one in qualified[0]] == ["Not to be relied on"] * 3
    assert not any(qualified[1] + qualified[2])


def test_the_same_answers_make_the_same_file(answered: list[Answered]) -> None:
    one, other = (to_bytes(make_report(answered, MODEL, at=AT)) for _ in range(2))
    assert one == other
    assert to_bytes(_capture(answered)) == to_bytes(_capture(answered))
    fewer = make_report(answered[:3], MODEL, at=AT)
    assert fewer.SOPInstanceUID != make_report(answered, MODEL, at=AT).SOPInstanceUID
    silent = [dataclasses.replace(one, abstains="no class is likely enough") for one in answered]
    assert digest(silent) != digest(answered)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as there:
        there.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system sets no time zone for a process")
@pytest.mark.parametrize(
    ("offset", "is_copied", "date", "hour"),
    [
        ("", False, "20260102", "12"),
        ("-0500", True, "20260101", "22"),
        ("+0545", True, "20260102", "08"),
        ("CET", False, "20260102", "12"),
        ("+1560", False, "20260102", "12"),
        ("-9900", False, "20260102", "12"),
    ],
)
def test_its_times_are_in_the_sources_zone(
    answered: list[Answered], in_tokyo: None, offset: str, is_copied: bool, date: str, hour: str
) -> None:
    """They stand beside the study's own, which are the machine's where the source does not say."""
    if offset:
        answered[0].dataset.TimezoneOffsetFromUTC = offset
    report, capture = make_report(answered, MODEL, at=AT), _capture(answered)
    for made in (report, capture):
        assert made.get("TimezoneOffsetFromUTC") == (offset if is_copied else None)
        for name in ("Content", "Series", "InstanceCreation"):
            assert (str(made[f"{name}Date"].value), str(made[f"{name}Time"].value)[:2]) == (date, hour)
        for item in made.ContributingEquipmentSequence:
            assert str(item.ContributionDateTime)[:10] == date + hour
    assert (str(capture.DateOfSecondaryCapture), str(capture.TimeOfSecondaryCapture)[:2]) == (date, hour)
    assert to_bytes(report) == to_bytes(make_report(answered, MODEL, at=AT))
    assert to_bytes(capture) == to_bytes(_capture(answered))


def test_it_stays_with_its_patient_and_study(answered: list[Answered]) -> None:
    source = answered[0].dataset
    before = source.to_json()
    for made in (make_report(answered, MODEL, at=AT), _capture(answered)):
        for name in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert made[name].value == source[name].value
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert source.to_json() == before


def test_a_source_without_a_patients_name_gets_results(answered: list[Answered]) -> None:
    for one in answered:
        for name in ("PatientName", "PatientBirthDate", "StudyTime", "ReferringPhysicianName", "StudyID"):
            del one.dataset[name]
    lacking = [dataclasses.replace(one, dataset=as_repeated(one.dataset)) for one in answered]
    for made in (make_report(lacking, MODEL, at=AT), _capture(lacking)):
        assert not made.PatientName
        assert made.PatientID == answered[0].dataset.PatientID


def as_repeated(header: Dataset) -> Dataset:
    found = repeatable(
        header,
        study=header.StudyInstanceUID,
        series=header.SeriesInstanceUID,
        instance=header.SOPInstanceUID,
        n_frames=1,
    )
    assert found is not None
    return found


def test_a_report_is_of_one_study(answered: list[Answered], slices: list[Path]) -> None:
    with pytest.raises(ServiceError, match="one study"):
        make_report([], MODEL, at=AT)


def test_codes_are_snomed_or_declared_as_our_own() -> None:
    assert codes.class_code("Aneurysm").scheme_designator == "SCT"
    own = codes.class_code("a rare disease with a long name")
    assert own.scheme_designator == codes.SCHEME
    assert own != codes.class_code("a rare disease with a long noun")
    for label in ("x" * 300, "Ω", "a b", ""):
        assert len(codes.class_code(label).value) <= 16
        assert len(codes.silence_code(label).meaning) <= 64


def test_no_two_names_have_one_code() -> None:
    for names in (
        ("HER2+", "HER2-", "HER2", "her2", "her2+"),
        ("<5 mm", ">5 mm", "5 mm", "5-mm", "5  mm", "5 mm "),
        ("Grade I", "grade-i", "grade i", "GRADE I", "grade_i"),
        ("腫瘍", "正常", "Tumör", "tum r"),
    ):
        for made in (codes.class_code, codes.probability_code, codes.silence_code):
            values = [made(name).value for name in names]
            assert len(set(values)) == len(names)
            assert all(len(value) <= 16 and value.isascii() for value in values)


def test_codes_stay_what_they_were() -> None:
    """Older results are found by them."""
    assert codes.probability_code("aneurysm").value == "p-aneurysm"
    assert codes.class_code("grade i").value == "c-grade-i"
    assert codes.class_code("a rare disease with a long name").value == "c-a-rare--1b77b3"
    assert codes.class_code("Grade I").value == "c-grade-i-e4fc5a"
