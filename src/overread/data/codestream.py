"""Compressed pixels of a DICOM file: which decoder reads them, and what they say of themselves before that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from overread.data.pixels import cut_short
from overread.errors import ImageError

_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
_DECODERS = {
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(_LOSSLESS, "gdcm"),
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    RLELossless: "pylibjpeg",
}
"""One for each transfer syntax. Left to itself pydicom asks all that there are, GDCM first, and GDCM ends the process
where it meets what it does not expect (std::terminate): it is asked only for what nothing else reads."""
_JPEG_SYNTAXES = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes)
_JPEG_2000_START = b"\xff\x4f\xff\x51"
START_OF_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_START_OF_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_HEAD_BYTES = 1 << 16
_KINDS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL")


@dataclass(frozen=True)
class Inside:
    """What a compressed stream says of itself."""

    rows: int
    columns: int
    channels: int
    bits: int


def decoder_of(dataset: Dataset) -> str:
    """The plugin of pydicom's that decodes a data set; empty where there is nothing to decode."""
    return _DECODERS.get(UID(dataset.file_meta.TransferSyntaxUID), "")


def check_codec(dataset: Dataset, path: Path) -> None:
    """Refuse pixels that no installed, freely licensed decoder reads."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    # Pillow decodes JPEG Extended in 8 bits only; the one free 12-bit plugin is GPL
    twelve_bit = syntax == JPEGExtended12Bit and dataset.get("BitsStored") != 8
    if not available or twelve_bit:
        bits = f" in {dataset.get('BitsStored')} bits" if twelve_bit else ""
        raise ImageError(
            f"{path.name} is compressed as {syntax.name}{bits}, which no installed decoder reads. Export it "
            "uncompressed, or as JPEG 2000 or JPEG-LS.",
            kind="no-codec",
        )


def check_stream(dataset: Dataset, path: Path, index: int) -> None:
    """Refuse a JPEG of any kind that is larger inside than the data set says, or lacks its end.

    Decoders make room for what the stream says. GDCM and OpenJPEG fill what is missing with grey.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax not in _JPEG_SYNTAXES:
        return
    stream = frame_stream(dataset, path, index)
    found = inside(stream)
    if found is not None:
        _check_size(dataset, path, found)
    if syntax in _LOSSLESS:
        _check_for_gdcm(dataset, path, found)
    if b"\xff\xd9" not in stream[-16:]:
        raise cut_short(path.name, f"the compressed pixels of frame {index} lack their end mark")


def inside(stream: bytes) -> Inside | None:
    """What a JPEG, JPEG-LS or JPEG 2000 stream says of its size; None where that is not found."""
    start = stream.find(_JPEG_2000_START, 0, _HEAD_BYTES)
    if start >= 0:
        # SIZ marker (ISO/IEC 15444-1 A.5.1): the image lies between its offset and its size
        right, lower, left, upper = (_number(stream, start + at, 4) for at in (8, 12, 16, 20))
        channels, bits = _number(stream, start + 40, 2), (_number(stream, start + 42, 1) & 0x7F) + 1
        return Inside(max(lower, lower - upper), max(right, right - left), channels, bits)
    for mark, at in segments(stream):
        if mark in START_OF_FRAME:  # ITU-T T.81 B.2.2, ISO/IEC 14495-1 C.2.2
            return Inside(
                _number(stream, at + 3, 2),
                _number(stream, at + 5, 2),
                _number(stream, at + 7, 1),
                _number(stream, at + 2, 1),
            )
    return None


def segments(stream: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG stream before its scan, each with the place of its length (ITU-T T.81 B.1.1)."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        mark = stream[at + 1]
        if mark in (_START_OF_SCAN, _END):
            return
        if mark == 0xFF:  # a fill byte
            at += 1
        elif mark in _WITHOUT_LENGTH:
            at += 2
        else:
            yield mark, at + 2
            at += 2 + max(2, _number(stream, at + 2, 2))


def _number(stream: bytes, at: int, length: int) -> int:
    return int.from_bytes(stream[at : at + length], "big")


def frame_stream(dataset: Dataset, path: Path, index: int) -> bytes:
    """One compressed frame, from memory or from the file."""
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if "PixelData" in dataset:
        return get_frame(dataset.PixelData, index, number_of_frames=n_frames)
    with at_pixels(path, implicit=False) as file:  # compressed pixels are always in explicit VR (PS3.5 A.4)
        return get_frame(file, index, number_of_frames=n_frames)


@contextmanager
def at_pixels(path: Path, *, implicit: bool) -> Iterator[BinaryIO]:
    """A file that stands at the first byte of its pixels. implicit: whether its elements tell no VR."""
    with path.open("rb") as file:
        dcmread(file, stop_before_pixels=True, specific_tags=["Rows"], force=True)
        file.seek(8 if implicit else 12, 1)  # tag, VR and length (PS3.5 7.1)
        yield file


def _check_size(dataset: Dataset, path: Path, found: Inside) -> None:
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if found.rows * found.columns * found.channels > dataset.Rows * dataset.Columns * samples:
        raise ImageError(
            f"{path.name} holds a compressed image of {found.columns} x {found.rows} pixels where its header says "
            f"{dataset.Columns} x {dataset.Rows}; it is refused as a decompression bomb. Export it again.",
            kind="bomb",
        )


def _check_for_gdcm(dataset: Dataset, path: Path, found: Inside | None) -> None:
    """Refuse what GDCM does not look at before it decodes it, and ends the process over."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    said = (dataset.Rows, dataset.Columns, int(dataset.get("SamplesPerPixel") or 1))
    agrees = found is not None and (found.rows, found.columns, found.channels) == said and found.bits <= allocated
    plain = allocated in (8, 16) and 1 < stored <= allocated and stored <= int(dataset.HighBit) + 1 <= allocated
    if not (
        agrees and plain and dataset.PixelRepresentation in (0, 1) and dataset.PhotometricInterpretation in _KINDS
    ):
        raise ImageError(
            f"{path.name} holds another lossless JPEG image than its header tells of. Export it again.",
            kind="unreadable",
        )
