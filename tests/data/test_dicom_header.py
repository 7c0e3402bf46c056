"""What a header tells, and what it must not."""

from __future__ import annotations

import pytest
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from overread.data.image import read_header


def test_who_and_what(make_dicom):
    header = read_header(
        make_dicom(
            Manufacturer="TOSHIBA", ManufacturerModelName="Aquilion", ConvolutionKernel=["Br40d", "3"],
            WindowCenter=40, WindowWidth=120, PixelSpacing=[0.507, 0.507], SliceThickness=2, KVP=120,
            BodyPartExamined="HEAD", InstanceNumber=7, ImagePositionPatient=[-1, -2, -520.5],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )
    )  # fmt: skip
    assert (header.format, header.n_frames, header.rows, header.columns) == ("dicom", 1, 32, 48)
    assert (header.patient, header.study, header.series) == ("P1", "1.2.3", "1.2.3.4")
    assert header.scale == "hu"
    assert dict(header.tags) == {
        "modality": "CT",
        "manufacturer": "TOSHIBA",
        "model": "Aquilion",
        "kernel": "Br40d/3",
        "window": "40/120",
        "spacing_mm": "0.507x0.507",
        "thickness_mm": "2",
        "kvp": "120",
        "body_part": "HEAD",
        "slice": "7",
        "position_mm": "-520.5",
        "photometric": "MONOCHROME2",
        "orientation": "axial",
        "toward": "L/P",
        "image_type": "LOCALIZER",
    }


def test_tags_never_identify(make_dicom):
    secrets = {
        "PatientName": "Doe^Jane", "PatientID": "SECRET1", "PatientBirthDate": "19700102",
        "AccessionNumber": "SECRET2", "InstitutionName": "SECRET3", "StationName": "SECRET4",
        "StudyDate": "20200304", "ReferringPhysicianName": "SECRET5", "StudyID": "SECRET6",
        "SeriesDescription": "SECRET7", "ProtocolName": "SECRET8", "DeviceSerialNumber": "SECRET9",
    }  # fmt: skip
    header = read_header(make_dicom(**secrets))
    told = " ".join(header.tags.values())
    assert not [secret for secret in secrets.values() if secret in told]


def test_nothing_said_is_none(make_dicom):
    header = read_header(make_dicom(PatientID="", StudyInstanceUID=None, SeriesInstanceUID=""))
    assert (header.patient, header.study, header.series) == (None, None, None)


@pytest.mark.parametrize(
    ("attributes", "scale"),
    [
        ({}, "hu"),
        ({"RescaleType": "HU"}, "hu"),
        ({"RescaleType": "US"}, "raw"),
        ({"RescaleIntercept": None}, "raw"),
        ({"SOPClassUID": MRImageStorage, "Modality": "MR"}, "raw"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "raw"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.999"}, "hu"),
    ],
)
def test_hounsfield_units_only_where_the_file_says_so(make_dicom, attributes, scale):
    assert read_header(make_dicom(**attributes)).scale == scale


def test_planes(make_dicom):
    for cosines, plane in (([0, 1, 0, 0, 0, -1], "sagittal"), ([1, 0, 0, 0, 0, -1], "coronal")):
        assert read_header(make_dicom(ImageOrientationPatient=cosines)).tags["orientation"] == plane


@pytest.mark.parametrize(
    ("attributes", "tag", "value"),
    [
        ({"PatientAge": "063Y"}, "age_years", "63"),
        ({"PatientAge": "018M"}, "age_years", "1.5"),
        ({"PatientSex": "F"}, "sex", "F"),
        ({"PatientSex": "DOE"}, "sex", None),
        ({"StudyDate": "20200304"}, "month", "202003"),
        ({"SeriesDate": "20210506"}, "month", "202105"),
        ({"BurnedInAnnotation": "YES"}, "burnt_in", "YES"),
        ({"ViewPosition": "AP"}, "view", "AP"),
    ],
)
def test_patient_and_view_in_plain_values(make_dicom, attributes, tag, value):
    assert read_header(make_dicom(**attributes)).tags.get(tag) == value


@pytest.mark.parametrize(
    ("cosines", "toward"),
    [
        ([1, 0, 0, 0, 1, 0], "L/P"),
        ([-1, 0, 0, 0, 1, 0], "R/P"),
        ([1, 0, 0, 0, 0, -1], "L/F"),
        ([0, 1, 0, 0, 0, -1], "P/F"),
    ],
)
def test_what_lies_at_the_right_and_below(make_dicom, cosines: list[float], toward: str) -> None:
    assert read_header(make_dicom(ImageOrientationPatient=cosines)).tags["toward"] == toward


@pytest.mark.parametrize(
    ("said", "toward"), [(["L", "F"], "L/F"), (["P", "HL"], "P/HL"), (["X", "F"], None), ("L", None)]
)
def test_a_radiograph_says_it_in_letters(make_dicom, said: list[str] | str, toward: str | None) -> None:
    image = make_dicom(ImageOrientationPatient=None, PatientOrientation=said)
    assert read_header(image).tags.get("toward") == toward
