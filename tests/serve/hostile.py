"""Files that mean harm: good DICOM files, each spoilt in one or more ways, the same ones for the same seed."""

from __future__ import annotations

import io
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import numpy as np
from PIL import Image as Picture
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

Rng = np.random.Generator
PAYLOAD = "<img src=x onerror=overread()><script>overread()</script>"
OUTSIDE = "overread-has-escaped"
"""no file may ever have this name"""
TEXT_VRS = ("CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_UID = "1.2.826.0.1.3680043.8.498.1000000000"
_ELEMENT = re.compile(
    rb"(?s)[\x02-\x60]\x00..(?:AE|AS|CS|DA|DS|DT|FD|FL|IS|LO|OB|OW|PN|SH|SL|SQ|SS|ST|TM|UI|UL|UN|US)"
)
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGBaseline8Bit,
    JPEG2000Lossless,
    JPEGLSLossless,
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.102",
    "1.2.3.4",
    "",
)
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


def good_files(paths: Sequence[Path]) -> list[bytes]:
    """The same images in many encodings, each under one UID that `hostile` replaces."""
    found = []
    for number, path in enumerate(paths):
        for syntax in (
            ImplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
        ):
            found.append(_saved(_plain(path, number), syntax))
        for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            dataset = _plain(path, number)
            dataset.compress(syntax, generate_instance_uid=False)
            found.append(_saved(dataset, syntax))
        found.append(_saved(_baseline(_plain(path, number)), JPEGBaseline8Bit))
        found.append(_lossless(_plain(path, number)))
        found.append(_saved(_frames(_plain(path, number)), ExplicitVRLittleEndian))
    return found


def hostile(seed: int, good: Sequence[bytes]) -> tuple[str, str, bytes]:
    """What was done to a file, its SOP Instance UID before that, and the file. UIDs are as long as they were."""
    rng = np.random.default_rng(seed)
    uid = f"{_UID[:-10]}{2_000_000_000 + seed}"
    content = good[int(rng.integers(len(good)))].replace(_UID.encode(), uid.encode())
    names = list(MUTATIONS)
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2]))):
        name = names[int(rng.integers(len(names)))]
        done.append(name)
        content = MUTATIONS[name](rng, content)
    return "+".join(done), uid, content


def _plain(path: Path, number: int) -> Dataset:
    dataset = dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _UID
    dataset.InstanceNumber = number
    return dataset


def _baseline(dataset: Dataset) -> Dataset:
    values = dataset.pixel_array.astype(np.float64)
    grey = np.uint8(255 * (values - values.min()) / max(1.0, float(np.ptp(values))))
    stream = io.BytesIO()
    Picture.fromarray(grey).save(stream, format="JPEG")
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _lossless(dataset: Dataset) -> bytes:
    """By GDCM: nothing else writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.dcm")
        path.write_bytes(_saved(dataset, ExplicitVRLittleEndian))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        made = dcmread(path)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _UID
        return _saved(made, str(made.file_meta.TransferSyntaxUID))


def _frames(dataset: Dataset) -> Dataset:
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    return dataset


def _saved(dataset: Dataset, syntax: str) -> bytes:
    stream = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    with config.disable_value_validation():
        if not little:  # every element is read before it is written the other way round
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
            dataset["PixelData"].VR = "OW"
            list(dataset)
        dcmwrite(stream, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return stream.getvalue()


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


def _pick(rng: Rng, values: Sequence[object]) -> object:
    return values[int(rng.integers(len(values)))]


def _bytes(rng: Rng, content: bytes) -> bytes:
    spoilt = bytearray(content)
    end = len(spoilt) if rng.random() < 0.3 else min(len(spoilt), 1600)
    for at in rng.integers(0, end, int(rng.integers(1, 40))):
        spoilt[int(at)] = int(rng.integers(256))
    return bytes(spoilt)


def _cut(rng: Rng, content: bytes) -> bytes:
    return content[: int(rng.integers(1, max(2, len(content))))]


def _moved(rng: Rng, content: bytes) -> bytes:
    start, length, to = (int(value) for value in rng.integers(0, [len(content), 300, len(content)]))
    piece = content[start : start + length]
    return content[:to] + piece + content[to:] if rng.random() < 0.5 else content[:start] + content[start + length :]


def _lengths(rng: Rng, content: bytes) -> bytes:
    found = list(_ELEMENT.finditer(content[:4000]))
    if not found:
        return _bytes(rng, content)
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        one = found[int(rng.integers(len(found)))]
        if one.group()[-2:] in _LONG:
            value = int(_pick(rng, [0, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 3]))  # type: ignore[call-overload]
            spoilt[one.end() + 2 : one.end() + 6] = struct.pack("<I", value)
        else:
            value = int(_pick(rng, [0, 1, 0xFFFF, 0xFFFE, 0x7FFF, 3]))  # type: ignore[call-overload]
            spoilt[one.end() : one.end() + 2] = struct.pack("<H", value)
    return bytes(spoilt)


def _tags(rng: Rng, content: bytes) -> bytes:
    found = [one.start() for one in _ELEMENT.finditer(content[:4000])]
    if len(found) < 2:
        return _bytes(rng, content)
    spoilt = bytearray(content)
    one, other = (int(_pick(rng, found)) for _ in range(2))  # type: ignore[call-overload]
    spoilt[one : one + 4], spoilt[other : other + 4] = spoilt[other : other + 4], spoilt[one : one + 4]
    return bytes(spoilt)


def _vrs(rng: Rng, content: bytes) -> bytes:
    found = list(_ELEMENT.finditer(content[:4000]))
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4)) if found else 0):
        one = found[int(rng.integers(len(found)))]
        other = found[int(rng.integers(len(found)))]
        spoilt[one.end() - 2 : one.end()] = other.group()[-2:]
    return bytes(spoilt)


def _syntax(rng: Rng, content: bytes) -> bytes:
    """The file says that it is encoded in another way than it is."""
    found = re.search(rb"(?s)\x02\x00\x10\x00UI(..)", content[:600])
    if found is None:
        return _bytes(rng, content)
    length = int.from_bytes(found.group(1), "little")
    text = str(_pick(rng, _SYNTAXES)).encode()
    text += b"\0" * (len(text) % 2)
    return content[: found.end() - 2] + struct.pack("<H", len(text)) + text + content[found.end() + length :]


def _sizes(rng: Rng, content: bytes) -> bytes:
    shorts = {
        name: int(_pick(rng, [0, 1, 3, 7, 8, 12, 16, 32, 64, 255, 4096, 65535]))  # type: ignore[call-overload]
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
        more["NumberOfFrames"] = _pick(
            rng, ["0", "-1", "2", "1999", "2001", "2147483648", "99999999999999999999", "x", "1\\2"]
        )
    if rng.random() < 0.3:
        more["PhotometricInterpretation"] = _pick(
            rng, ["RGB", "PALETTE COLOR", "YBR_FULL_422", "MONOCHROME1", "ARGB", "", PAYLOAD]
        )
    if rng.random() < 0.3:
        more["PlanarConfiguration"] = int(rng.integers(0, 4))
    return _set(rng, content, more or {"Rows": 65535, "Columns": 65535})


def _numbers(rng: Rng, content: bytes) -> bytes:
    names = (
        "RescaleSlope",
        "RescaleIntercept",
        "WindowCenter",
        "WindowWidth",
        "PixelSpacing",
        "ImagePositionPatient",
    )
    names += (
        "ImageOrientationPatient",
        "InstanceNumber",
        "SeriesNumber",
        "SliceThickness",
        "KVP",
        "PatientAge",
        "StudyDate",
    )
    chosen = [name for name in names if rng.random() < 0.3] or ["RescaleSlope"]
    return _set(rng, content, {name: _pick(rng, _NUMBERS) for name in chosen})


def _markup(rng: Rng, content: bytes) -> bytes:
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


def _charsets(rng: Rng, content: bytes) -> bytes:
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
    values: dict[str, object] = {name: _pick(rng, texts) for name in names if rng.random() < 0.4}
    return _set(rng, content, {"SpecificCharacterSet": _pick(rng, _CHARACTER_SETS), **values})


def _uids(rng: Rng, content: bytes) -> bytes:
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
    return _set(rng, content, {name: _pick(rng, evil) for name in names or ["SOPInstanceUID"]})


def _nested(rng: Rng, content: bytes) -> bytes:
    """Sequences in sequences, or with very many items, before the image's own groups."""
    item, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"
    head, tail = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"
    if rng.random() < 0.4:
        many = b"\xfe\xff\x00\xe0\0\0\0\0" * int(rng.integers(1, 40_000))
        return _inserted(content, head + many + tail)
    depth = int(_pick(rng, [5, 60, 400, 1200, 20_000]))  # type: ignore[call-overload]
    return _inserted(content, (head + item) * depth + (end + tail) * int(_pick(rng, [depth, 0])))  # type: ignore[call-overload]


def _private(rng: Rng, content: bytes) -> bytes:
    value = rng.bytes(2 * int(rng.integers(0, 400)))
    kinds = [
        b"\x09\x00\x01\x10LO" + struct.pack("<H", len(value)) + value,
        b"\x09\x00\x02\x10UN\0\0\xff\xff\xff\xff" + value,
        b"\x09\x00\x03\x10ZZ" + struct.pack("<H", len(value)) + value,
        b"\x09\x00\x04\x10FD\x10\x00" + struct.pack("<dd", float("nan"), float("inf")),
        b"\x08\x00\x01\x10\0\0" + value,
    ]
    return _inserted(content, b"".join(bytes(_pick(rng, kinds)) for _ in range(int(rng.integers(1, 6)))))  # type: ignore[call-overload]


def _inserted(content: bytes, element: bytes) -> bytes:
    """Elements put before (0008,0016) of the data set, or where the file meta information would end."""
    at = content.find(b"\x08\x00\x16\x00", 132)
    at = at if at > 0 else min(len(content), 400)
    return content[:at] + element + content[at:]


def _codestream(rng: Rng, content: bytes) -> bytes:
    """Compressed pixels that say that they are larger than they are, or are damaged."""
    spoilt = bytearray(content)
    marks = [b"\xff\x4f\xff\x51", b"\xff\xc0\x00\x0b", b"\xff\xf7\x00\x0b", b"\xff\xc3\x00\x0b"]
    for mark in marks:
        at = content.find(mark)
        if at > 0 and rng.random() < 0.6:
            place = at + (8 if mark == marks[0] else 5)
            size = struct.pack(
                ">II" if mark == marks[0] else ">HH", *([65535, 65535] if rng.random() < 0.5 else [64, 4000])
            )
            spoilt[place : place + len(size)] = size
            return bytes(spoilt)
    for at in rng.integers(len(spoilt) // 3, len(spoilt), int(rng.integers(1, 30))):
        spoilt[int(at)] = int(rng.integers(256))
    return bytes(spoilt)


def _luts(rng: Rng, content: bytes) -> bytes:
    item = Dataset()
    with config.disable_value_validation():
        lut = [
            int(_pick(rng, [0, 1, 4, 256, 65535])),
            int(rng.integers(0, 65536)),
            int(_pick(rng, [0, 8, 12, 16, 255])),
        ]  # type: ignore[call-overload]
        item.add(DataElement(0x00283002, "US", lut))
        item.add(DataElement(0x00283006, "OW", rng.bytes(2 * int(rng.integers(0, 300)))))
    return _set(rng, content, {str(_pick(rng, ["ModalityLUTSequence", "VOILUTSequence"])): [item]})


def _deflated(rng: Rng, content: bytes) -> bytes:
    """A deflated data set that grows, or that is none."""
    start = content.find(b"\x08\x00\x05\x00", 132)
    start = start if start > 0 else min(len(content), 400)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(content[start:] + bytes(int(_pick(rng, [0, 1 << 20, 1 << 24])))) + packer.flush()  # type: ignore[call-overload]
    found = re.search(rb"(?s)\x02\x00\x10\x00UI(..)", content[:600])
    if found is None:
        return content
    length = int.from_bytes(found.group(1), "little")
    text = DeflatedExplicitVRLittleEndian.encode()
    head = content[: found.end() - 2] + struct.pack("<H", len(text)) + text + content[found.end() + length : start]
    return head + (body if rng.random() < 0.7 else body[: len(body) // 2])


def _disguise(rng: Rng, content: bytes) -> bytes:
    """Another format's first bytes in the preamble, or no preamble."""
    heads = [
        b"II*\0",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
        b"<!doctype html>" + PAYLOAD.encode(),
        b"\xff\xd8\xff\xe0",
        b"\x1f\x8b",
    ]
    head = bytes(_pick(rng, heads))  # type: ignore[call-overload]
    return content[132:] if rng.random() < 0.3 else head + content[len(head) :]


MUTATIONS: dict[str, Callable[[Rng, bytes], bytes]] = {
    one.__name__.strip("_"): one
    for one in (
        _bytes,
        _cut,
        _moved,
        _lengths,
        _tags,
        _vrs,
        _syntax,
        _sizes,
        _numbers,
        _markup,
        _charsets,
        _uids,
        _nested,
        _private,
        _codestream,
        _luts,
        _deflated,
        _disguise,
    )
}
