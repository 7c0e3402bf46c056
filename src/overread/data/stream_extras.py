"""What compressed pixels carry beside the image: comments, Exif data, and bytes after the end of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

_ITEM = b"\xfe\xff\x00\xe0"
_JPEG = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)
_EOI, _SOS, _COM = 0xD9, 0xDA, 0xFE
_RESTARTS, _APPLICATION = range(0xD0, 0xD8), range(0xE0, 0xF0)
_NEEDED = {b"JFIF\0": 14, b"Adobe": 12, b"mrfx": 5, b"SPIFF\0": 1 << 16, b"ICC_PROFILE\0": 1 << 16}
"""application segments that say how pixels are decoded, and how long they are: a thumbnail may follow"""
_SOT, _SOD, _COMMENT = 0x90, 0x93, 0x64

Span = tuple[int, int]
"""first byte, and the one after the last"""


def clear_extras(dataset: Dataset, syntax: str) -> None:
    """Put zeros in the place of what JPEG, JPEG-LS and JPEG 2000 streams carry beside images (ITU-T T.81 B.2.4).

    Lengths and offsets stay. Streams of other kinds, and what cannot be followed, stay as they are.
    """
    if "PixelData" not in dataset or not dataset["PixelData"].is_undefined_length:
        return
    spans_of = _jpeg_extras if UID(syntax) in _JPEG else _jpeg_2000_extras
    if UID(syntax) not in (*_JPEG, *JPEG2000TransferSyntaxes):
        return
    content = bytearray(dataset.PixelData)
    pieces = list(_fragments(content))
    stream = b"".join(content[start:end] for start, end in pieces)
    cleared = bytearray(stream)
    for start, end in spans_of(stream, n_images=int(dataset.get("NumberOfFrames") or 1)):
        cleared[start:end] = bytes(max(0, min(end, len(cleared)) - start))
    at = 0
    for start, end in pieces:
        content[start:end] = cleared[at : at + end - start]
        at += end - start
    dataset.PixelData = bytes(content)


def _fragments(content: bytearray) -> Iterator[Span]:
    """Where the fragments lie, without the table of offsets (PS3.5 A.4)."""
    at, is_table = 0, True
    while content[at : at + 4] == _ITEM:
        start = at + 8
        at = min(len(content), start + int.from_bytes(content[at + 4 : start], "little"))
        if not is_table:
            yield start, at
        is_table = False


def _jpeg_extras(stream: bytes, *, n_images: int) -> Iterator[Span]:
    """Comments, application data that no decoder needs, and what lies between and after images."""
    at = 0
    for _ in range(n_images):
        start = stream.find(b"\xff\xd8", at)
        if start < 0:
            break
        yield at, start
        at = start + 2
        while at + 4 <= len(stream):
            if stream[at] != 0xFF:
                return  # cannot be followed
            mark = stream[at + 1]
            if mark == _EOI:
                break
            if mark == 0xFF:
                at += 1
                continue
            end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
            if mark == _COM:
                yield at + 4, end
            elif mark in _APPLICATION:
                kept = next((n for name, n in _NEEDED.items() if stream.startswith(name, at + 4)), 0)
                yield min(end, at + 4 + kept), end
            at = _after_scan(stream, end) if mark == _SOS else end
        at += 2
    yield at, len(stream)


def _after_scan(stream: bytes, at: int) -> int:
    """Where the first marker after coded pixels stands; 0xFF followed by 0 or a low byte is none of them."""
    while (at := stream.find(b"\xff", at)) >= 0 and at + 1 < len(stream):
        if stream[at + 1] >= 0x80 and stream[at + 1] not in _RESTARTS and stream[at + 1] != 0xFF:
            return at
        at += 1
    return len(stream)


def _jpeg_2000_extras(stream: bytes, *, n_images: int) -> Iterator[Span]:
    """Comments in all headers (ISO/IEC 15444-1 A.9.2), and what lies between and after codestreams."""
    at = 0
    for _ in range(n_images):
        start = stream.find(b"\xff\x4f\xff\x51", at)
        if start < 0:
            break
        if b"jP  " not in stream[at:start]:  # boxes of JP2 tell of colours
            yield at, start
        at, part_end = start + 2, 0
        while at + 4 <= len(stream) and stream[at] == 0xFF and stream[at + 1] != _EOI:
            mark, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
            if mark == _SOT:
                told = int.from_bytes(stream[at + 6 : at + 10], "big")
                part_end = at + told if told else max(at, stream.rfind(b"\xff\xd9"))
            if mark == _COMMENT:
                yield at + 6, at + 2 + length
            at = max(part_end, at + 2) if mark == _SOD else at + 2 + length
        at += 2
    yield at, len(stream)
