"""DICOM files whose attributes say what they should not: each takes random numbers and a file, and returns one."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword

Rng = np.random.Generator
PAYLOAD = "<img src=x onerror=overread()><script>overread()</script>"
OUTSIDE = "overread-has-escaped"
TEXT_VRS = ("CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e308",
    "-1e308",
    "0",
    "-0",
    "",
    "1\\2\\3",
    "one",
    "9" * 40,
    "1e-320",
    "\x00",
)
_CHARACTER_SETS = (
    "ISO_IR 192",
    "ISO_IR 100",
    "ISO 2022 IR 87",
    "\\ISO 2022 IR 13",
    "GB18030",
    "GBK",
    "utf_7",
    "none",
    "x" * 70,
)


def pick(rng: Rng, values: Sequence[object]) -> object:
    return values[int(rng.integers(len(values)))]


def _set(rng: Rng, content: bytes, values: dict[str, object]) -> bytes:
    """The file with other values, however wrong; as it was where it is too broken for that."""
    try:
        dataset = dcmread(io.BytesIO(content), force=True)
        syntax = dataset.file_meta.TransferSyntaxUID
        with config.disable_value_validation():
            for keyword, value in values.items():
                tag = tag_for_keyword(keyword)
                vr = dictionary_VR(tag).split(" ")[0]
                held = value if isinstance(value, bytes) or vr in ("US", "SQ") else str(value)
                dataset[tag] = DataElement(tag, vr, held, validation_mode=config.IGNORE)
            stream = io.BytesIO()
            dataset.save_as(stream, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return stream.getvalue()
    except Exception:  # the file was spoilt before, and pydicom says so in many ways
        return content


def sizes(rng: Rng, content: bytes) -> bytes:
    shorts = {
        name: int(pick(rng, [0, 1, 3, 7, 8, 12, 16, 32, 64, 255, 4096, 65535]))  # type: ignore[call-overload]
        for name in (
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "SamplesPerPixel",
            "PixelRepresentation",
        )
        if rng.random() < 0.35
    }
    more: dict[str, object] = dict(shorts)
    if rng.random() < 0.5:
        more["NumberOfFrames"] = pick(
            rng, ["0", "-1", "2", "1999", "2001", "2147483648", "99999999999999999999", "x", "1\\2"]
        )
    if rng.random() < 0.3:
        more["PhotometricInterpretation"] = pick(
            rng, ["RGB", "PALETTE COLOR", "YBR_FULL_422", "MONOCHROME1", "ARGB", "", PAYLOAD]
        )
    if rng.random() < 0.3:
        more["PlanarConfiguration"] = int(rng.integers(0, 4))
    return _set(rng, content, more or {"Rows": 65535, "Columns": 65535})


def numbers(rng: Rng, content: bytes) -> bytes:
    names = (
        "RescaleSlope",
        "RescaleIntercept",
        "WindowCenter",
        "WindowWidth",
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "InstanceNumber",
        "SeriesNumber",
        "SliceThickness",
        "KVP",
        "PatientAge",
        "StudyDate",
    )
    chosen = [name for name in names if rng.random() < 0.3] or ["RescaleSlope"]
    return _set(rng, content, {name: pick(rng, _NUMBERS) for name in chosen})


def markup(rng: Rng, content: bytes) -> bytes:
    """HTML in every text attribute that an image has, and in some that it had not."""
    try:
        names = [
            one.keyword
            for one in dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
            if one.VR in TEXT_VRS
        ]
    except Exception:  # as in _set
        return content
    more = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "PatientName", "PatientID", "Manufacturer")
    values = {
        name: PAYLOAD
        for name in (*names, *more)
        if name and name not in ("PhotometricInterpretation", "SpecificCharacterSet")
    }
    return _set(rng, content, values)


def charsets(rng: Rng, content: bytes) -> bytes:
    names = (
        "PatientName",
        "PatientID",
        "BodyPartExamined",
        "StudyDescription",
        "Manufacturer",
        "Modality",
        "StudyID",
    )
    texts = [
        b"\x00mid\x00dle\x00",
        b"\xff\xfe\xfd\x80",
        b"\x1b$B%d%\x1b(J",
        "Ωmega^日本".encode(),
        b"\xed\xa0\x80",
        b"\x1b" * 9,
    ]
    texts += [rng.bytes(int(rng.integers(1, 200))), b"a\r\nSet-Cookie: x=1", b"x" * 70000]
    values: dict[str, object] = {name: pick(rng, texts) for name in names if rng.random() < 0.4}
    return _set(rng, content, {"SpecificCharacterSet": pick(rng, _CHARACTER_SETS), **values})


def uids(rng: Rng, content: bytes) -> bytes:
    evil = (
        "../../../" + OUTSIDE,
        "/tmp/" + OUTSIDE,
        "1.2.\r\nX-Evil: 1",
        "1." + "9" * 300,
        "",
        "1.2.\x00.3",
        PAYLOAD,
        "..",
        "1.2.3\\4.5.6",
        "1.02",
    )
    names = [
        name
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID")
        if rng.random() < 0.5
    ]
    return _set(rng, content, {name: pick(rng, evil) for name in names or ["SOPInstanceUID"]})


def luts(rng: Rng, content: bytes) -> bytes:
    item = Dataset()
    with config.disable_value_validation():
        lut = [
            int(pick(rng, [0, 1, 4, 256, 65535])),
            int(rng.integers(0, 65536)),
            int(pick(rng, [0, 8, 12, 16, 255])),
        ]  # type: ignore[call-overload]
        item.add(DataElement(0x00283002, "US", lut))
        item.add(DataElement(0x00283006, "OW", rng.bytes(2 * int(rng.integers(0, 300)))))
    return _set(rng, content, {str(pick(rng, ["ModalityLUTSequence", "VOILUTSequence"])): [item]})
