"""Which attributes of a data set could name a person or a place: by keyword, never by value."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

PATIENT = (
    "PatientName",
    "PatientBirthDate",
    "PatientBirthName",
    "PatientMotherBirthName",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientTelecomInformation",
    "MedicalRecordLocator",
    "InsurancePlanIdentification",
    "ResponsiblePerson",
)
"""what names the patient or someone who answers for them"""
STAFF = (
    "ReferringPhysicianName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "ConsultingPhysicianName",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "ScheduledPerformingPhysicianName",
    "OperatorsName",
    "ContentCreatorName",
)
PLACES = (
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "RegionOfResidence",
    "RequestingService",
)
NUMBERS = ("AccessionNumber", "AdmissionID", "IssuerOfPatientID", "DeviceSerialNumber")
"""what a hospital's own records lead from to the person"""
COMMENTS = ("PatientComments", "ImageComments", "AdditionalPatientHistory", "RequestAttributesSequence")
"""free text and orders, in which names stand now and then"""
DATES = (
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ContentDate",
    "InstanceCreationDate",
    "AdmittingDate",
)
PRIVATE = "private attributes"
"""stands for all of them together: what they hold, nobody else knows"""

# PS3.15 Table E.1-1: what the basic profile removes or replaces. The patient's ID is not here: a cohort needs one.
_TAGS = {
    tag: keyword
    for keyword in (*PATIENT, *STAFF, *PLACES, *NUMBERS, *COMMENTS, *DATES)
    if (tag := tag_for_keyword(keyword)) is not None
}
_DUMMIES = ("ANON", "REMOVED", "DEIDENTIFIED", "UNKNOWN", "NONE", "NONAME", "NOTSTATED", "DUMMY", "XXX", "NA")


def identifying(dataset: Dataset) -> tuple[str, ...]:
    """Keywords of what is there, not empty, and no dummy; looks at the top of the data set, not into sequences."""
    found = [
        _TAGS[int(tag)]
        for tag in sorted(_TAGS.keys() & dataset.keys())
        if _says_something(dataset.get_item(tag).value)
    ]
    shifted = str(dataset.get("LongitudinalTemporalInformationModified") or "").upper() in ("MODIFIED", "REMOVED")
    kept = [
        keyword
        for keyword in found
        if not (keyword in DATES and shifted) and not (keyword == "PatientName" and _is_pseudonym(dataset))
    ]
    return (*kept, PRIVATE) if any(tag >> 16 & 1 for tag in dataset.keys()) else tuple(kept)  # noqa: SIM118


def _says_something(value: object) -> bool:
    """False for what is empty, all zeros, or a word that stands for a removed value."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    letters = "".join(character for character in text.upper() if character.isalnum() or not character.isascii())
    return bool(letters.strip("0")) and letters not in _DUMMIES and not letters.startswith(_DUMMIES[:4])


def _is_pseudonym(dataset: Dataset) -> bool:
    """True for a name that is the patient's ID again, or has a digit where identity is said to be removed."""
    name, patient = (
        "".join(character for character in str(dataset.get(keyword) or "").upper() if character.isalnum())
        for keyword in ("PatientName", "PatientID")
    )
    removed = str(dataset.get("PatientIdentityRemoved") or "").upper() == "YES"
    return name == patient or (removed and any(character.isdigit() for character in name))
