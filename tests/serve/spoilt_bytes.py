"""DICOM files that are not encoded as they should be: each way takes random numbers and a file, and returns one."""

from __future__ import annotations

import re
import struct
import zlib

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
from tests.serve.spoilt_values import PAYLOAD, Rng, pick

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


def scattered(rng: Rng, content: bytes) -> bytes:
    spoilt = bytearray(content)
    end = len(spoilt) if rng.random() < 0.3 else min(len(spoilt), 1600)
    for at in rng.integers(0, end, int(rng.integers(1, 40))):
        spoilt[int(at)] = int(rng.integers(256))
    return bytes(spoilt)


def cut(rng: Rng, content: bytes) -> bytes:
    return content[: int(rng.integers(1, max(2, len(content))))]


def moved(rng: Rng, content: bytes) -> bytes:
    start, length, to = (int(value) for value in rng.integers(0, [len(content), 300, len(content)]))
    piece = content[start : start + length]
    return content[:to] + piece + content[to:] if rng.random() < 0.5 else content[:start] + content[start + length :]


def lengths(rng: Rng, content: bytes) -> bytes:
    found = list(_ELEMENT.finditer(content[:4000]))
    if not found:
        return scattered(rng, content)
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        one = found[int(rng.integers(len(found)))]
        if one.group()[-2:] in _LONG:
            value = int(pick(rng, [0, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 3]))  # type: ignore[call-overload]
            spoilt[one.end() + 2 : one.end() + 6] = struct.pack("<I", value)
        else:
            value = int(pick(rng, [0, 1, 0xFFFF, 0xFFFE, 0x7FFF, 3]))  # type: ignore[call-overload]
            spoilt[one.end() : one.end() + 2] = struct.pack("<H", value)
    return bytes(spoilt)


def tags(rng: Rng, content: bytes) -> bytes:
    found = [one.start() for one in _ELEMENT.finditer(content[:4000])]
    if len(found) < 2:
        return scattered(rng, content)
    spoilt = bytearray(content)
    one, other = (int(pick(rng, found)) for _ in range(2))  # type: ignore[call-overload]
    spoilt[one : one + 4], spoilt[other : other + 4] = spoilt[other : other + 4], spoilt[one : one + 4]
    return bytes(spoilt)


def vrs(rng: Rng, content: bytes) -> bytes:
    found = list(_ELEMENT.finditer(content[:4000]))
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4)) if found else 0):
        one = found[int(rng.integers(len(found)))]
        other = found[int(rng.integers(len(found)))]
        spoilt[one.end() - 2 : one.end()] = other.group()[-2:]
    return bytes(spoilt)


def syntax(rng: Rng, content: bytes) -> bytes:
    """The file says that it is encoded in another way than it is."""
    found = re.search(rb"(?s)\x02\x00\x10\x00UI(..)", content[:600])
    if found is None:
        return scattered(rng, content)
    length = int.from_bytes(found.group(1), "little")
    text = str(pick(rng, _SYNTAXES)).encode()
    text += b"\0" * (len(text) % 2)
    return content[: found.end() - 2] + struct.pack("<H", len(text)) + text + content[found.end() + length :]


def nested(rng: Rng, content: bytes) -> bytes:
    """Sequences in sequences, or with very many items, before the image's own groups."""
    item, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"
    head, tail = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"
    if rng.random() < 0.4:
        many = b"\xfe\xff\x00\xe0\0\0\0\0" * int(rng.integers(1, 40_000))
        return _inserted(content, head + many + tail)
    depth = int(pick(rng, [5, 60, 400, 1200, 20_000]))  # type: ignore[call-overload]
    return _inserted(content, (head + item) * depth + (end + tail) * int(pick(rng, [depth, 0])))  # type: ignore[call-overload]


def private(rng: Rng, content: bytes) -> bytes:
    value = rng.bytes(2 * int(rng.integers(0, 400)))
    kinds = [
        b"\x09\x00\x01\x10LO" + struct.pack("<H", len(value)) + value,
        b"\x09\x00\x02\x10UN\0\0\xff\xff\xff\xff" + value,
        b"\x09\x00\x03\x10ZZ" + struct.pack("<H", len(value)) + value,
        b"\x09\x00\x04\x10FD\x10\x00" + struct.pack("<dd", float("nan"), float("inf")),
        b"\x08\x00\x01\x10\0\0" + value,
    ]
    return _inserted(content, b"".join(bytes(pick(rng, kinds)) for _ in range(int(rng.integers(1, 6)))))  # type: ignore[call-overload]


def _inserted(content: bytes, element: bytes) -> bytes:
    """Elements put before (0008,0016) of the data set, or where the file meta information would end."""
    at = content.find(b"\x08\x00\x16\x00", 132)
    at = at if at > 0 else min(len(content), 400)
    return content[:at] + element + content[at:]


def codestream(rng: Rng, content: bytes) -> bytes:
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


def deflated(rng: Rng, content: bytes) -> bytes:
    """A deflated data set that grows, or that is none."""
    start = content.find(b"\x08\x00\x05\x00", 132)
    start = start if start > 0 else min(len(content), 400)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(content[start:] + bytes(int(pick(rng, [0, 1 << 20, 1 << 24])))) + packer.flush()  # type: ignore[call-overload]
    found = re.search(rb"(?s)\x02\x00\x10\x00UI(..)", content[:600])
    if found is None:
        return content
    length = int.from_bytes(found.group(1), "little")
    text = DeflatedExplicitVRLittleEndian.encode()
    head = content[: found.end() - 2] + struct.pack("<H", len(text)) + text + content[found.end() + length : start]
    return head + (body if rng.random() < 0.7 else body[: len(body) // 2])


def disguise(rng: Rng, content: bytes) -> bytes:
    """Another format's first bytes in the preamble, or no preamble."""
    heads = [
        b"II*\0",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04",
        b"<!doctype html>" + PAYLOAD.encode(),
        b"\xff\xd8\xff\xe0",
        b"\x1f\x8b",
    ]
    head = bytes(pick(rng, heads))  # type: ignore[call-overload]
    return content[132:] if rng.random() < 0.3 else head + content[len(head) :]
