"""What a DICOM data set says of itself: who, how large, in what unit, made by what."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID

from overread.data.dicom_identity import identifying
from overread.data.pixels import Header, check_size, cut_short
from overread.errors import ImageError

_CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_COLOUR = ("RGB", "PALETTE COLOR", "YBR_")
_PLANES = ("sagittal", "coronal", "axial")
_ENDS = ("RL", "AP", "FH")
"""the patient's sides at the low and the high end of x, y and z"""


def describe(dataset: Dataset, path: Path, *, brief: bool = False) -> Header:
    """Header of a data set that was read from `path`; `brief`: without who is shown, of the tags the modality alone.

    Raises ImageError if it holds no image.
    """
    _check_is_image(dataset, path)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_size(path.name, rows, columns)
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    _check_length(dataset, path, n_pixels=rows * columns * n_frames, n_frames=n_frames)
    header = Header(
        format="dicom",
        n_frames=n_frames,
        rows=rows,
        columns=columns,
        scale=scale_of(dataset),
        tags=MappingProxyType(_present({"modality": _text(dataset, "Modality")})),
    )
    if brief:
        return header
    return dataclasses.replace(
        header,
        patient=_text(dataset, "PatientID"),
        study=_text(dataset, "StudyInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        instance=_text(dataset, "SOPInstanceUID"),
        tags=MappingProxyType(_tags(dataset)),
        identifying=identifying(dataset),
    )


def macro(dataset: Dataset, frame: int, keyword: str) -> Dataset:
    """The item that holds one frame's attributes: its own, else the shared one, else the data set itself.

    Enhanced objects keep them in functional groups (PS3.3 C.7.6.16), others at the top.
    """
    for groups, at in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(groups) or []
        found = items[at].get(keyword) if at < len(items) else None
        if found:
            item: Dataset = found[0]
            return item
    return dataset


def number(dataset: Dataset, keyword: str, at: int = 0) -> float | None:
    """One value of a numeric attribute; None where it is absent, empty, malformed or not finite."""
    try:
        return _number(dataset.get(keyword), at)
    except (TypeError, ValueError, OverflowError):
        return None


def _numbers(dataset: Dataset, keyword: str, n: int) -> list[float] | None:
    """The first n values of a numeric attribute; None where one of them is absent, malformed or not finite."""
    try:
        value = dataset.get(keyword)
    except (TypeError, ValueError, OverflowError):
        return None
    found = [one for at in range(n) if (one := _number(value, at)) is not None]
    return found if len(found) == n else None


def _number(value: Any, at: int) -> float | None:
    try:
        found = float(value[at] if hasattr(value, "__getitem__") else value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def is_colour(dataset: Dataset) -> bool:
    """True if pixels are colour, in three channels or through a palette."""
    return int(dataset.get("SamplesPerPixel") or 1) > 1 or _photometric(dataset).startswith(_COLOUR)


def scale_of(dataset: Dataset) -> str:
    """The unit of the pixels: "hu", "raw" or "display" (see Header).

    Hounsfield units need CT, a rescale, and a rescale type that is absent or HU (PS3.3 C.11.1.1.2). Grey
    in 8 bits with neither rescale nor window is a picture.
    """
    if is_colour(dataset):
        return "display"
    rescale = macro(dataset, 0, "PixelValueTransformationSequence")
    slope, intercept = number(rescale, "RescaleSlope"), number(rescale, "RescaleIntercept")
    if _is_ct(dataset) and intercept is not None and not dataset.get("ModalityLUTSequence"):
        return "hu" if (_text(rescale, "RescaleType") or "HU").upper() == "HU" else "raw"
    voi = macro(dataset, 0, "FrameVOILUTSequence")
    plain = slope in (None, 1) and intercept in (None, 0) and "PixelPaddingValue" not in dataset
    shown_as_is = not any(voi.get(name) for name in ("WindowCenter", "VOILUTSequence"))
    unsigned_8 = dataset.get("BitsStored") == 8 and not dataset.get("PixelRepresentation")
    return "display" if unsigned_8 and plain and shown_as_is and not dataset.get("ModalityLUTSequence") else "raw"


def _is_ct(dataset: Dataset) -> bool:
    sop_class = str(dataset.get("SOPClassUID", ""))
    return sop_class in _CT_CLASSES or (
        dataset.get("Modality") == "CT"
        and not sop_class.startswith(_SECONDARY_CAPTURE)
        and int(dataset.get("BitsStored") or 0) > 8
    )


def _check_is_image(dataset: Dataset, path: Path) -> None:
    """Refuse documents, directories and masks, and tell them from files whose header is cut off."""
    meta = getattr(dataset, "file_meta", Dataset())
    sop_class = UID(str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""))
    mask = sop_class in _SEGMENTATION or dataset.get("BitsAllocated") == 1
    if not mask and dataset.get("Rows") is not None and dataset.get("Columns") is not None:
        return
    # a class that is not in the dictionary may be cut off itself, unless elements well after it are there
    known = sop_class.name != sop_class or "StudyInstanceUID" in dataset
    if mask or (known and sop_class and "Image Storage" not in sop_class.name):
        found = "a mask" if mask else sop_class.name
        raise ImageError(
            f"{path.name} is DICOM and not an image: it holds {found}. Leave it out.", kind="not-an-image"
        )
    raise cut_short(path.name, "its DICOM header ends before it tells the image's size")


def _check_length(dataset: Dataset, path: Path, *, n_pixels: int, n_frames: int) -> None:
    """Refuse a file that is too short for the frames that it tells of, before anything is decoded."""
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    size = path.stat().st_size
    # an item of a compressed frame has a tag and a length of 8 bytes (PS3.5 A.4)
    needed = 8 * n_frames
    if syntax.is_transfer_syntax and syntax.is_deflated:
        needed = 0
    elif syntax.is_transfer_syntax and not syntax.is_compressed:
        subsampled = 1.5 if "422" in _photometric(dataset) else 1
        samples = int(dataset.get("SamplesPerPixel") or 1) / subsampled
        needed = int(n_pixels * samples * int(dataset.get("BitsAllocated") or 8) / 8)
    if n_frames < 1 or needed > size:
        found = f"{n_frames} frames need at least {needed:,} bytes of pixels, and the whole file has {size:,}"
        raise cut_short(path.name, found)


def _tags(dataset: Dataset) -> dict[str, str]:
    """Technical attributes, sex, age and month, by fixed names; absent ones are left out."""
    measures = macro(dataset, 0, "PixelMeasuresSequence")
    reconstruction = macro(dataset, 0, "CTReconstructionSequence")
    voi = macro(dataset, 0, "FrameVOILUTSequence")
    spacing = _numbers(measures, "PixelSpacing", 2)
    window = [number(voi, name) for name in ("WindowCenter", "WindowWidth")]
    cosines = _numbers(macro(dataset, 0, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    position = number(macro(dataset, 0, "PlanePositionSequence"), "ImagePositionPatient", 2)
    found = {
        "modality": _text(dataset, "Modality"),
        "manufacturer": _text(dataset, "Manufacturer"),
        "model": _text(dataset, "ManufacturerModelName"),
        "kernel": _text(reconstruction, "ConvolutionKernel"),
        "window": None if None in window else "/".join(f"{value:g}" for value in window),
        "spacing_mm": None if spacing is None else "x".join(f"{value:.3f}" for value in spacing),
        "thickness_mm": _decimal(number(measures, "SliceThickness")),
        "kvp": _decimal(number(dataset, "KVP")),
        "body_part": _text(dataset, "BodyPartExamined"),
        "slice": _decimal(number(dataset, "InstanceNumber")),
        "position_mm": _decimal(position),
        "photometric": _photometric(dataset) or None,
        "orientation": _orientation(cosines),
        "toward": _toward(cosines) if cosines else _said_toward(dataset),
        "image_type": _image_type(dataset),
        "burnt_in": _text(dataset, "BurnedInAnnotation"),
        "view": _text(dataset, "ViewPosition"),
        "sex": _sex(dataset),
        "age_years": _decimal(_age_years(dataset)),
        "month": _month(dataset),
    }
    return _present(found)


def _present(found: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value[:64] for name, value in found.items() if value}


def _sex(dataset: Dataset) -> str | None:
    """The patient's sex as M, F or O (PS3.3 C.7.1.1); None for anything else."""
    text = (_text(dataset, "PatientSex") or "").upper()
    return text if text in ("M", "F", "O") else None


def _age_years(dataset: Dataset) -> float | None:
    """The patient's age of an Age String such as 063Y or 018M (PS3.5 6.2)."""
    text = _text(dataset, "PatientAge") or ""
    years = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
    digits, unit = text[:-1], text[-1:].upper()
    return round(int(digits) * years[unit], 2) if digits.isascii() and digits.isdigit() and unit in years else None


def _month(dataset: Dataset) -> str | None:
    """Year and month of the study or series; the day would be a step towards the person."""
    text = (_text(dataset, "StudyDate") or _text(dataset, "SeriesDate") or "").replace(".", "")
    return text[:6] if text[:6].isascii() and text[:6].isdigit() and len(text) >= 6 else None


def _orientation(cosines: Sequence[float] | None) -> str | None:
    """The plane that the image lies nearest to."""
    if cosines is None:
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    normal = [abs(b * f - c * e), abs(c * d - a * f), abs(a * e - b * d)]
    return _PLANES[normal.index(max(normal))] if any(normal) else None


def _toward(cosines: Sequence[float]) -> str:
    """What of the patient lies at the image's right and at its lower edge, as `L/P` (PS3.3 C.7.6.1.1.1)."""
    ends = []
    for one in (cosines[:3], cosines[3:]):
        axis = max(range(3), key=lambda at: abs(one[at]))
        ends.append(_ENDS[axis][one[axis] > 0])
    return "/".join(ends)


def _said_toward(dataset: Dataset) -> str | None:
    """The same in the file's own words."""
    said = (_text(dataset, "PatientOrientation") or "").upper()
    return said if re.fullmatch(r"[LRAPHF]{1,3}/[LRAPHF]{1,3}", said) else None


def _image_type(dataset: Dataset) -> str | None:
    """The third value of Image Type, where a localizer says so (PS3.3 C.7.6.1.1.2)."""
    values: Any = dataset.get("ImageType")
    return str(values[2]) if values and not isinstance(values, str) and len(values) > 2 else None


def _photometric(dataset: Dataset) -> str:
    return str(dataset.get("PhotometricInterpretation") or "")


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.7g}"


def _text(dataset: Dataset, keyword: str) -> str | None:
    """An attribute as one line of text; None where it is absent or empty."""
    value: Any = dataset.get(keyword)
    parts = [value] if value is None or isinstance(value, str) or not hasattr(value, "__iter__") else value
    return "/".join(str(part).strip() for part in parts if part is not None).strip("\x00 ") or None
