"""De-identification of one DICOM data set: PS3.15 Annex E, the Basic Application Level Confidentiality Profile.

Which attribute is removed, emptied or replaced comes from dicom-anonymizer's table of PS3.15 E.1-1. It is applied at
every depth; private and unknown attributes, curves and overlays go, those in the bits of uncompressed pixels too;
every UID that the standard does not define is mapped; what is kept has the form of its value representation.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from overread.data.stream_extras import clear_extras
from overread.data.unused_bits import clear_unused_bits
from overread.settings import setting

_TABLE = "dicomfields_2026c"
_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_ZEROS = {"DS": "0", "IS": "0", "AS": "000Y", "DA": "19000101", "DT": "19000101000000", "TM": "000000"}
_TIMES = ("DA", "DT", "TM")
_NEVER_MOVED = ("PatientBirthDate", "PatientBirthTime", "GPSTimeStamp")
"""dates and times that the option does not keep: they have no C in its column of the table"""
_BEYOND = (
    *(0x00100033, 0x00100034),  # dates of birth and death in other calendars
    *(0x00080407, 0x00080408, 0x00080409, 0x0008040B, 0x00081190, 0x00287FE0, 0x00404073, 0x0040E010),  # addresses
    0x0040E001,  # the identifier of a document of HL7
)
"""what the table leaves out and is removed: addresses hold names of hosts and the UIDs that are mapped elsewhere"""
_PERSONAL = ("PN", "DA", "DT", "TM")
"""value representations of which nothing is kept that the table leaves out, as it does with industrial inspections"""
_LEAST_GROUP = 0x0008
"""below it lie commands, file meta information and directories, which no data set may have (PS3.10 7.2)"""
_FORMS = {
    "AS": re.compile(r"\d{3}[DWMY]"),
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?"),
    "TM": re.compile(r"[\d:]{2,8}(\.\d{1,6})?"),
    "DS": re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"),
    "IS": re.compile(r"[+-]?\d+"),
}
"""how values are written (PS3.5 6.2); what is written otherwise may be words, which pydicom hands on as they are"""
_NUMBERS = ("FD", "FL", "SL", "SS", "UL", "US", "SV", "UV")
_MOST_DAYS = 3650
_CHARACTERISTICS = (
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientBodyMassIndex",
    "EthnicGroup",
    "SmokingStatus",
    "PregnancyStatus",
)
_DEVICE = ("DeviceSerialNumber", "DeviceUID", "StationName", "GantryID", "PlateID", "DetectorID")
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_OPTIONS = {
    "shift_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "keep_characteristics": ("113108", "Retain Patient Characteristics Option"),
    "keep_device": ("113109", "Retain Device Identity Option"),
}


@dataclass(frozen=True, kw_only=True)
class DeidentifySettings:
    """Options of PS3.15 E.3. Flags are made of these; each that is on is written into the files."""

    shift_dates: bool = setting(False, "keep dates, moved into the past by a number of days that is one per patient")
    keep_characteristics: bool = setting(False, "keep sex, age, size and weight")
    keep_device: bool = setting(False, "keep the device's name and serial number")


@dataclass(frozen=True)
class Pseudonyms:
    """What stands for what: the same for the same key, and found out by nobody without it."""

    key: bytes = field(repr=False)

    def patient(self, patient_id: str) -> str:
        """A name for a patient."""
        return f"OVR-{self._digest('patient', patient_id).hex()[:12].upper()}"

    def uid(self, uid: str) -> str:
        """A UID for a UID (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def days(self, patient_id: str) -> int:
        """By how many days a patient's dates are moved into the past: 1 to 3650."""
        return 1 + int.from_bytes(self._digest("days", patient_id)[:4], "big") % _MOST_DAYS

    def name(self, text: str) -> str:
        """A short name for anything else, such as a path."""
        return self._digest("name", text).hex()[:12]

    def _digest(self, what: str, text: str) -> bytes:
        return hmac.new(self.key, f"{what}:{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


def deidentify(dataset: Dataset, names: Pseudonyms, settings: DeidentifySettings) -> None:
    """Take out of a data set, at every depth, who is shown, by whom, where and when.

    The values of its pixels stay as they are. Raises ImageError where its pixels cannot be cleared of overlays.
    """
    patient = str(dataset.get("PatientID") or "") or str(dataset.get("StudyInstanceUID") or "")
    big_endian = dataset.original_encoding[1] is False
    work = _Work(names=names, settings=settings, patient=patient, kept=_kept(settings), big_endian=big_endian)
    clear_extras(dataset, str(dataset.file_meta.get("TransferSyntaxUID") or ""))
    work.clean(dataset)
    dataset.PatientID = dataset.PatientName = names.patient(patient)
    dataset.PatientIdentityRemoved = "YES"
    chosen = [_BASIC, *(code for name, code in _OPTIONS.items() if getattr(settings, name))]
    dataset.DeidentificationMethod = "overread: PS3.15 Annex E, Basic Profile"
    dataset.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in chosen])
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if settings.shift_dates else "REMOVED"
    _clean_meta(dataset)


@dataclass(frozen=True, kw_only=True)
class _Work:
    names: Pseudonyms
    settings: DeidentifySettings
    patient: str = field(repr=False)
    kept: frozenset[int]
    big_endian: bool

    def clean(self, dataset: Dataset) -> None:
        clear_unused_bits(dataset, big_endian=self.big_endian)
        for tag in list(dataset.keys()):
            group = tag >> 16
            # private; curves and overlays, in which names are drawn now and then; what nobody knows
            if group % 2 or group < _LEAST_GROUP or not dictionary_has_tag(tag) or _is_unknown(dataset[tag]):
                del dataset[tag]
                continue
            element = dataset[tag]
            self._clean_element(dataset, element)
            if tag in dataset and not _is_formed(element):
                element.value = None

    def _clean_element(self, dataset: Dataset, element: DataElement) -> None:
        if int(element.tag) in self.kept:
            return
        if element.VR == "UI":
            element.value = self._map(element.value, is_class="SOPClass" in element.keyword)
        elif self.settings.shift_dates and element.VR in _TIMES and element.keyword not in _NEVER_MOVED:
            element.value = element.value if element.VR == "TM" else self._shift(element.value)
        else:
            unsaid = "remove" if element.VR in _PERSONAL else ""
            self._apply(rules().get(int(element.tag), unsaid), dataset, element)

    def _apply(self, rule: str, dataset: Dataset, element: DataElement) -> None:
        """Do with an element what the table says; what it says nothing of is kept, but for what lies in it."""
        if rule == "remove":
            del dataset[element.tag]
        elif rule == "empty":
            element.value = Sequence([]) if element.VR == "SQ" else None
        elif element.VR == "SQ":
            for item in element.value or []:
                self.clean(item)
                if rule == "replace":
                    _blank(item)
        elif rule == "replace":
            element.value = dummy(element.VR)

    def _map(self, value: Any, *, is_class: bool) -> Any:
        """What stands for a UID; is_class: it is that of a kind of object, which may be newer than pydicom."""
        if isinstance(value, MultiValue | list):
            return [self._map(one, is_class=is_class) for one in value]
        uid = UID(str(value or ""))
        return value if not uid or uid.type or (is_class and uid.is_valid) else UID(self.names.uid(uid))

    def _shift(self, value: Any) -> Any:
        """A date, or a date and time, moved into the past; what is none is emptied."""
        if isinstance(value, MultiValue | list):
            return [self._shift(one) for one in value]
        text = str(value or "").replace(".", "", 2) if len(str(value or "")) == 10 else str(value or "")
        if not text:
            return value
        try:
            day = datetime.strptime(text[:8], "%Y%m%d").date()
            moved = max(day - timedelta(days=self.names.days(self.patient)), date(1, 1, 1))
        except (ValueError, OverflowError):
            return None
        return f"{moved.year:04}{moved.month:02}{moved.day:02}{text[8:]}"


@cache
def rules() -> Mapping[int, str]:
    """What is done with a tag: remove, empty or replace. Where the table leaves a choice, a file stays valid."""
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    table = dicom_anonymization_database_selector(_TABLE)
    actions = {
        "remove": ("X_TAGS",),
        "empty": ("Z_TAGS", "X_Z_TAGS"),
        "replace": ("D_TAGS", "Z_D_TAGS", "X_D_TAGS", "X_Z_D_TAGS"),
    }
    return dict.fromkeys(_BEYOND, "remove") | {
        tag[0] << 16 | tag[1]: action
        for action, names in actions.items()
        for name in names
        for tag in table[name]
        if len(tag) == 2
    }


def dummy(vr: str) -> Any:
    """A value that says nothing, of a value representation."""
    if vr in _TEXTS:
        return "REMOVED"
    if vr in _NUMBERS:
        return 0
    if vr == "UR":
        return "http://removed.invalid"
    return _ZEROS.get(vr, b"\0\0" if vr.startswith("O") else None)


def _is_unknown(element: DataElement) -> bool:
    """Whether nobody knows what it holds, or it holds words where its tag stands for something else."""
    return element.VR == "UN" or (element.VR in _TEXTS and dictionary_VR(element.tag) not in _TEXTS)


def _is_formed(element: DataElement) -> bool:
    form = _FORMS.get(element.VR)
    values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
    return form is None or all(form.fullmatch(text) for one in values if (text := str(one or "").strip()))


def _blank(dataset: Dataset) -> None:
    """Replace every value in an item that has to be there."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or []:
                _blank(item)
        elif element.VR != "UI":
            element.value = dummy(element.VR)


def _kept(settings: DeidentifySettings) -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    keywords = (_CHARACTERISTICS if settings.keep_characteristics else ()) + (_DEVICE if settings.keep_device else ())
    return frozenset(tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None)


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _clean_meta(dataset: Dataset) -> None:
    """Leave in the file meta information what is needed to read the file (PS3.10 7.1)."""
    needed = ("TransferSyntaxUID", "MediaStorageSOPClassUID")
    meta = dataset.file_meta
    for tag in list(meta.keys()):
        if meta[tag].keyword not in needed:
            del meta[tag]
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.preamble = b"\0" * 128
