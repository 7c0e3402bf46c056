"""Which keywords are told, and that no value is."""

from __future__ import annotations

import pydicom
import pytest

from overread.data.dicom_identity import COMMENTS, DATES, NUMBERS, PATIENT, PLACES, STAFF
from overread.data.image import read_header


def told(path):
    return read_header(path).identifying


def test_every_keyword_is_one_of_dicom():
    for keyword in (*PATIENT, *STAFF, *PLACES, *NUMBERS, *COMMENTS, *DATES):
        assert pydicom.datadict.tag_for_keyword(keyword) is not None


def test_names_places_numbers_and_dates_are_told_by_keyword(make_dicom):
    header = read_header(
        make_dicom(
            PatientBirthDate="19700102", OperatorsName="Roe^Richard", InstitutionName="St Elsewhere",
            AccessionNumber="A1234", StudyDate="20200304", StudyDescription="CT head", PatientSex="F",
        )
    )  # fmt: skip
    assert set(header.identifying) == {
        "PatientName", "PatientBirthDate", "OperatorsName", "InstitutionName", "AccessionNumber", "StudyDate",
    }  # fmt: skip
    assert "identifying" not in repr(header)


def test_empty_values_and_stand_ins_are_not_told(make_dicom):
    empty = {"PatientName": "", "PatientBirthDate": None, "InstitutionName": "   ", "AccessionNumber": "0"}
    assert told(make_dicom(**empty)) == ()
    stand_ins = {"PatientName": "ANONYMOUS^", "OperatorsName": "Removed", "StationName": "N/A", "AdmissionID": "000"}
    assert told(make_dicom(**stand_ins)) == ()


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"PatientName": "LIDC-0001", "PatientID": "LIDC-0001"}, False),
        ({"PatientName": "Phantom^0001", "PatientID": "PHANTOM-0001"}, False),
        ({"PatientName": "Case^12", "PatientIdentityRemoved": "YES"}, False),
        ({"PatientName": "Doe^Jane", "PatientIdentityRemoved": "YES"}, True),
        ({"PatientName": "Case^12"}, True),
        ({"PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 192"}, True),
        ({"PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"}, True),
    ],
)
def test_a_pseudonym_is_no_name(make_dicom, attributes, named):
    assert ("PatientName" in told(make_dicom(**attributes))) is named


def test_dates_that_are_said_to_be_shifted_are_not_told(make_dicom):
    dates = {"StudyDate": "20200304", "PatientName": ""}
    assert told(make_dicom(**dates)) == ("StudyDate",)
    assert told(make_dicom(**dates, LongitudinalTemporalInformationModified="MODIFIED")) == ()
    assert told(make_dicom(**dates, LongitudinalTemporalInformationModified="UNMODIFIED")) == ("StudyDate",)


def test_private_attributes_count_as_one(make_dicom):
    def add(ds):
        block = ds.private_block(0x0029, "MAKER", create=True)
        block.add_new(1, "LO", "Doe^Jane")
        block.add_new(2, "LO", "again")

    assert told(make_dicom(PatientName="", edit=add)) == ("private attributes",)


def test_a_sequence_is_told_if_it_has_items(make_dicom):
    item = pydicom.Dataset()
    item.RequestedProcedureID = "7"
    assert told(make_dicom(PatientName="", RequestAttributesSequence=[item])) == ("RequestAttributesSequence",)
    assert told(make_dicom(PatientName="", RequestAttributesSequence=[])) == ()
