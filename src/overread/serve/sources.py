"""A source's header as its results may repeat it: what is no valid DICOM is left out, and what has to be there is."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.charset import python_encoding
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from overread.serve.contexts import image_classes

_GROUPS = (0x0008, 0x0010, 0x0012, 0x0020, 0x0032, 0x0038, 0x0040)
"""of who was examined and why; the rest is the image's own, which results do not repeat"""
_HAVE_TO_BE = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""of type 2 (PS3.3 C.7.1.1, C.7.2.1): present, and empty where unknown"""
_SEXES = ("", "F", "M", "O")
_UTF_8 = "ISO_IR 192"
_NEVER_FIRST = ("ISO 2022 IR 87", "ISO 2022 IR 159")
_NEVER_TOLD = ("ISO 2022 IR 58",)
"""highdicom knows it, and refuses it all the same"""
_TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_ESCAPE = "\x1b$)A"
"""to GB2312 (ISO 2022 IR 58): pydicom leaves it in what it has decoded"""
_DEEPEST = 4


def repeatable(header: Dataset, *, study: str, series: str, instance: str, n_frames: int) -> Dataset | None:
    """The header of an image that the store knows under these UIDs; None for a class that results cannot refer to."""
    kind = str(header.get("SOPClassUID", ""))
    if kind not in image_classes():
        return None
    made = _valid(header, depth=0)
    if "SpecificCharacterSet" not in made and not _is_ascii(made):
        made = in_utf_8(header)  # read as Latin-1, which is what is meant where nothing is named
    if made.get("PatientSex", "") not in _SEXES:
        made.PatientSex = ""
    for keyword in _HAVE_TO_BE:
        if keyword not in made:
            setattr(made, keyword, "")
    made.SOPClassUID, made.SOPInstanceUID = kind, instance
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.Modality = made.get("Modality") or "OT"
    made.NumberOfFrames = n_frames
    return made


def in_utf_8(header: Dataset) -> Dataset:
    """What results may repeat of a header, its text decoded by its own character set and written anew."""
    return _valid(header, depth=0, anew=True)


def _valid(header: Dataset, *, depth: int, anew: bool = False) -> Dataset:
    """The elements that keep to their value representation, in a character set that is known; `anew`: in UTF-8."""
    made, kept = Dataset(), None if anew else _character_set(header)
    for tag in header.keys():  # noqa: SIM118 (a data set's own iteration would read all values)
        if tag.is_private or (depth == 0 and tag.group not in _GROUPS) or tag == 0x00080005:
            continue
        with suppress(Exception):  # pydicom raises many kinds for a value that is none
            element = _element(header[tag], as_text=kept is None, depth=depth)
            made.add(element)
            if not _can_be_written(element, kept or _UTF_8):
                del made[tag]
    if depth == 0 and kept != "":
        made.SpecificCharacterSet = kept or _UTF_8
    return made


def _element(found: DataElement, *, as_text: bool, depth: int) -> DataElement:
    """The element again, checked. Raises ValueError where it is not valid."""
    if found.VR not in dictionary_VR(found.tag).split(" or ") or (found.VR == "SQ" and depth == _DEEPEST):
        raise ValueError(found.VR)
    value: Any = found.value
    if found.VR == "SQ":
        value = Sequence([_valid(item, depth=depth + 1, anew=as_text) for item in value])
    elif found.VM > 1 and dictionary_VM(found.tag) == "1":
        raise ValueError(found.keyword)
    elif found.VR in _TEXTS and as_text and value:
        texts = [str(one).replace(_ESCAPE, "") for one in (value if found.VM > 1 else [value])]
        value = texts if found.VM > 1 else texts[0]
    return DataElement(found.tag, found.VR, value, validation_mode=RAISE)


def _character_set(header: Dataset) -> Any:
    """The source's own character set; empty where it names none, None where its values have to be written anew."""
    found = header.get("SpecificCharacterSet") or ""
    names = [found] if isinstance(found, str) else list(found)
    if names == [""]:
        return ""
    return found if _can_be_told(names) else None


def _can_be_told(names: list[str]) -> bool:
    """Whether results may name these character sets (PS3.3 C.12.1.1.2): what highdicom refuses would make none."""
    from highdicom.enum import SpecificCharacterSetValues

    known = (python_encoding.keys() & {one.value for one in SpecificCharacterSetValues}) - set(_NEVER_TOLD)
    are_extended = {name.startswith("ISO 2022") for name in names} == {len(names) > 1}
    return known.issuperset(names) and are_extended and names[0] not in _NEVER_FIRST


def _is_ascii(made: Dataset) -> bool:
    return all(element.VR == "SQ" or str(element.value).isascii() for element in made.iterall())


def _can_be_written(element: DataElement, character_set: Any) -> bool:
    one = Dataset()
    one.SpecificCharacterSet = character_set
    one.add(element)
    with suppress(Exception):  # as above
        dcmwrite(io.BytesIO(), one, implicit_vr=False, little_endian=ExplicitVRLittleEndian.is_little_endian)
        return True
    return False
