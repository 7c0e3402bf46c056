from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from overread.data.deidentify import DeidentifySettings, Pseudonyms, deidentify, rules
from overread.data.phantom import PhantomSettings, make_phantoms

KEY = Pseudonyms(b"k" * 32)
SECRET = "Zyxwv^Quentin"
NAMED = (
    "PatientName",
    "ReferringPhysicianName",
    "InstitutionName",
    "OperatorsName",
    "PatientAddress",
    "AccessionNumber",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "phantoms"
    make_phantoms(folder, PhantomSettings(patients=3, slices=1, size_px=64, seed=3))
    return sorted(folder.rglob("*.dcm"))[0]


def _named(source: Path) -> Dataset:
    """A slice that names its patient wherever it can."""
    dataset = pydicom.dcmread(source)
    for name in NAMED:
        setattr(dataset, name, SECRET[:16])
    dataset.PatientID = SECRET
    dataset.StudyDescription = dataset.ImageComments = SECRET
    dataset.PatientBirthDate, dataset.StudyDate, dataset.PatientAge, dataset.PatientSex = (
        "19410203",
        "20240506",
        "083Y",
        "F",
    )
    inner = Dataset()
    inner.PatientName = inner.PatientID = SECRET
    inner.StudyInstanceUID = inner.ReferencedSOPInstanceUID = dataset.StudyInstanceUID
    outer = Dataset()
    outer.PatientName, outer.RequestAttributesSequence = SECRET, Sequence([inner])
    dataset.SourceImageSequence = Sequence([outer])
    dataset.add_new(0x00091010, "LO", SECRET)
    dataset.add_new(0x60003000, "OW", SECRET.encode() + b" ")
    dataset.file_meta.SourceApplicationEntityTitle = SECRET[:16]
    dataset.preamble = SECRET.encode().ljust(128, b"\0")
    return dataset


def _bytes(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"shift_dates": True, "keep_characteristics": True, "keep_device": True}])
def test_nothing_that_names_the_patient_is_left(source: Path, options: dict[str, bool]) -> None:
    dataset = _named(source)
    uids = [str(dataset[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    pixels = dataset.pixel_array.copy()
    deidentify(dataset, KEY, DeidentifySettings(**options))
    content = _bytes(dataset)
    for secret in (SECRET[:5], "Quentin", "19410203", "20240506", *uids):
        assert secret.encode() not in content, secret
    back = pydicom.dcmread(io.BytesIO(content))
    np.testing.assert_array_equal(back.pixel_array, pixels)
    assert back.PatientIdentityRemoved == "YES"
    codes = [item.CodeValue for item in back.DeidentificationMethodCodeSequence]
    assert codes == ["113100"] if not options else ["113100", "113107", "113108", "113109"]
    assert back.file_meta.MediaStorageSOPInstanceUID == back.SOPInstanceUID
    assert back.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert (back.get("PatientAge") == "083Y") == bool(options)


@pytest.mark.filterwarnings("ignore:(?s).*nvalid")
@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00109999, "LO"),  # in no dictionary
        (0x50003000, "OB"),
        (0x60043000, "OB"),
        (0x7F020010, "OB"),
        (0x00120012, "PN"),
        (0x0040A067, "PN"),  # a trial's author, whom Table E.1-1 leaves out
        (0x00140104, "PN"),
        (0x00081190, "UR"),
        (0x0040E010, "UR"),
        (0x00181010, "LO"),
        (0x00400556, "ST"),
        (0x00700006, "ST"),
        (0x00000902, "LO"),
        (0x00080016, "UI"),
        (0x00082218, "LO"),  # a sequence, written as words
        (0x00081155, "SH"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"shift_dates": True, "keep_characteristics": True, "keep_device": True}])
def test_what_nobody_knows_goes(source: Path, tag: int, vr: str, options: dict[str, bool]) -> None:
    dataset = pydicom.dcmread(source)
    item = Dataset()
    for one in (dataset, item):
        one[tag] = RawDataElement(Tag(tag), vr, 12, b"Zyxwv^Quenti", 0, False, True)
    dataset.SourceImageSequence = Sequence([item])
    deidentify(dataset, KEY, DeidentifySettings(**options))
    assert b"Zyxwv" not in _bytes(dataset)


@pytest.mark.filterwarnings("ignore:(?s).*nvalid")
@pytest.mark.parametrize("vr", ["IS", "DS", "AS", "DA", "DT", "TM"])
@pytest.mark.parametrize("text", [b"Zyxwv^Quenti", b"19410203-19410304", b"20240506 ^Quentin"])
def test_what_is_no_number_and_no_time_is_emptied(source: Path, vr: str, text: bytes) -> None:
    dataset = pydicom.dcmread(source)
    tags = {
        "IS": 0x00200013,
        "DS": 0x00181100,
        "AS": 0x00101010,
        "DA": 0x00080020,
        "DT": 0x0008002A,
        "TM": 0x00080030,
    }
    dataset[tags[vr]] = RawDataElement(Tag(tags[vr]), vr, len(text), text, 0, False, True)
    deidentify(dataset, KEY, DeidentifySettings(shift_dates=True, keep_characteristics=True))
    assert not any(secret in _bytes(dataset) for secret in (b"Zyxwv", b"Quentin", b"194"))


def test_numbers_and_times_stay_as_they_are_written(source: Path) -> None:
    dataset = pydicom.dcmread(source)
    dataset.AcquisitionTime, dataset.PatientAge, dataset.PixelSpacing = "101112.123456", "083Y", ["0.5", "+5.0E-1"]
    dataset.AcquisitionDateTime = "20240506101112.5+0100"
    deidentify(dataset, KEY, DeidentifySettings(shift_dates=True, keep_characteristics=True))
    assert (dataset.AcquisitionTime, dataset.PatientAge) == ("101112.123456", "083Y")
    assert [str(one) for one in dataset.PixelSpacing] == ["0.5", "+5.0E-1"]
    assert str(dataset.AcquisitionDateTime).endswith("101112.5+0100")


@pytest.mark.parametrize("bits", [12, 16])
def test_what_follows_the_last_pixel_is_cut_off(source: Path, bits: int) -> None:
    dataset = pydicom.dcmread(source)
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    pixels = dataset.PixelData
    dataset.PixelData = pixels + SECRET.encode() + b" "
    deidentify(dataset, KEY, DeidentifySettings())
    assert len(dataset.PixelData) == len(pixels)


def test_a_class_that_is_newer_than_pydicom_stays(source: Path) -> None:
    dataset = pydicom.dcmread(source)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.99"
    deidentify(dataset, KEY, DeidentifySettings())
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2.99"


def test_an_overlay_in_the_bits_of_pixels_goes(source: Path) -> None:
    dataset = pydicom.dcmread(source)
    values = dataset.pixel_array.copy()
    drawn = values.copy()
    drawn[5:9, 3:40] |= 1 << 15
    dataset.PixelData = drawn.tobytes()
    for element, vr, value in ((0x0010, "US", 64), (0x0011, "US", 64), (0x0100, "US", 16), (0x0102, "US", 15)):
        dataset.add_new(0x60000000 | element, vr, value)
    deidentify(dataset, KEY, DeidentifySettings())
    assert dataset.PixelData == values.tobytes()
    assert not dataset.group_dataset(0x6000)


def test_the_same_patient_has_the_same_name_and_references_hold(source: Path) -> None:
    one, other = _named(source), _named(source)
    before = str(one.StudyInstanceUID)
    other.StudyDate = "20240606"
    for dataset in (one, other):
        deidentify(dataset, KEY, DeidentifySettings(shift_dates=True))
    assert one.PatientID == other.PatientID == KEY.patient(SECRET)
    assert before not in str(one)
    assert one.StudyInstanceUID == other.StudyInstanceUID == KEY.uid(before)
    apart = _day(other.StudyDate) - _day(one.StudyDate)
    assert apart.days == 31
    assert Pseudonyms(b"j" * 32).patient(SECRET) != one.PatientID


def _day(text: str):  # type: ignore[no-untyped-def]
    from datetime import datetime

    return datetime.strptime(text, "%Y%m%d")


@pytest.mark.parametrize("shift_dates", [False, True])
def test_nothing_of_birth_is_kept_where_dates_are_moved(source: Path, shift_dates: bool) -> None:
    """And nothing else of Table E.1-1 that has no C for this option."""
    dataset = _named(source)
    inner = dataset.SourceImageSequence[0]
    for one in (dataset, inner):
        one.PatientBirthDate, one.PatientBirthTime, one.AcquisitionTime = "19410203", "031415", "131313"
        one.PatientBirthDateInAlternativeCalendar = "5701 Shevat 6"
        one.GPSTimeStamp = "19700101031415"
    deidentify(dataset, KEY, DeidentifySettings(shift_dates=shift_dates))
    content = _bytes(dataset)
    assert not any(secret in content for secret in (b"19410203", b"031415", b"5701"))
    for one in (dataset, inner):
        assert (one.get("AcquisitionTime") == "131313") == shift_dates
        assert "PatientBirthTime" not in one


def test_the_table_is_that_of_the_standard() -> None:
    found = rules()
    assert len(found) > 500
    assert found[0x00100010] == "empty"  # Z in PS3.15 Table E.1-1; a pseudonym is put in its place afterwards
    assert found[0x00081080] == "remove"
    assert 0x00280010 not in found


_names = st.sampled_from([tag for tag in sorted(rules()) if pydicom.datadict.dictionary_has_tag(tag)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tags=st.lists(_names, max_size=12, unique=True), depth=st.integers(0, 3))
def test_no_attribute_of_the_table_keeps_its_value_at_any_depth(source: Path, tags: list[int], depth: int) -> None:
    dataset = pydicom.dcmread(source)
    item, root = Dataset(), Dataset()
    for tag in tags:
        if pydicom.datadict.dictionary_VR(tag) in ("LO", "PN", "SH", "ST", "LT", "UT", "UC"):
            item.add_new(tag, pydicom.datadict.dictionary_VR(tag), "Zyxwv")
    root = item
    for _ in range(depth):
        above = Dataset()
        above.SourceImageSequence = Sequence([root])
        root = above
    dataset.SourceImageSequence = Sequence([root])
    deidentify(dataset, KEY, DeidentifySettings())
    assert b"Zyxwv" not in _bytes(dataset)
