"""DICOM through pydicom: the file, its frames and their decoding."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from overread.data.codestream import check_codec, check_stream, decoder_of
from overread.data.dicom_bounds import read_bounded
from overread.data.dicom_grey import grey_image
from overread.data.dicom_header import describe, is_colour
from overread.data.jpeg_colour import rgb_of
from overread.data.pixels import MAX_PIXELS, Header, Image, check_values, cut_short
from overread.errors import ImageError

_IN_MEMORY_BYTES = 256 * 1024 * 1024
_MAX_INFLATED_BYTES = 8 * MAX_PIXELS
_HEAD_BYTES = 1024


def read_header(path: Path) -> Header:
    """Read what the data set says of itself; stops before the pixels."""
    return describe(load(path, pixels=False), path)


def open_file(path: Path, *, brief: bool = False) -> DicomFile:
    """Open a data set for decoding; `brief`: its header leaves out who is shown, and most tags."""
    return DicomFile(path, brief=brief)


class DicomFile:
    """An open DICOM file. A file above 256 MiB stays on disk, and each frame is read from there."""

    def __init__(self, path: Path, *, brief: bool = False) -> None:
        self._path = path
        self._in_memory = path.stat().st_size <= _IN_MEMORY_BYTES
        self._dataset = load(path, pixels=self._in_memory)
        self.header = describe(self._dataset, path, brief=brief)
        _check_pixels_are_there(self._dataset, path, in_memory=self._in_memory)
        check_codec(self._dataset, path)

    def frame(self, index: int) -> Image:
        """Decode one frame: colour becomes RGB, grey becomes Hounsfield units or stored values."""
        check_stream(self._dataset, self._path, index)
        if is_colour(self._dataset) and (rgb := rgb_of(self._dataset, self._path, index)) is not None:
            return self._coloured(rgb, index)
        source = self._dataset if self._in_memory else self._path
        # where bits are left over pydicom has to copy, and would warn that this is no view
        is_view = self._dataset.get("BitsStored") == self._dataset.get("BitsAllocated")
        stored = pixel_array(source, index=index, view_only=is_view, decoding_plugin=decoder_of(self._dataset))
        if is_colour(self._dataset):
            return self._coloured(_rgb(self._dataset, stored), index)
        image = grey_image(self._dataset, stored, header=self.header, frame=index)
        check_values(self._path.name, image.pixels, index)
        return image

    def _coloured(self, pixels: NDArray[np.uint8], index: int) -> Image:
        check_values(self._path.name, pixels, index)
        return Image(pixels=pixels, scale="display", window=None, header=self.header, frame=index)


def load(path: Path, *, pixels: bool, **more: Any) -> Dataset:
    """Read a data set, with or without a preamble, and make sure that it names a transfer syntax.

    more: for `pydicom.dcmread`. Raises ImageError for a decompression bomb, and whatever pydicom raises.
    """
    # read by force: the content has been sniffed already, and old files lack the preamble
    dataset = read_bounded(path, inflated=_inflated(path), stop_before_pixels=not pixels, **more)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _inflated(path: Path) -> bytes | None:
    """A deflated file as it would be without that; None where it is not deflated.

    pydicom inflates in one go, however large it becomes.
    """
    deflated, plain = DeflatedExplicitVRLittleEndian.encode(), ExplicitVRLittleEndian.encode()
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if deflated not in head:
        return None
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    # preamble, prefix and the element that states the group's length (PS3.10 7.1)
    begin = 128 + 4 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        pieces = [file.read(begin).replace(deflated, plain.ljust(len(deflated), b"\0"))]
        unpacker, grown = zlib.decompressobj(wbits=-zlib.MAX_WBITS), 0
        while (packed := unpacker.unconsumed_tail or file.read(1 << 16)) and not unpacker.eof:
            pieces.append(unpacker.decompress(packed, 1 << 24))
            grown += len(pieces[-1])
            if grown > _MAX_INFLATED_BYTES:
                raise ImageError(
                    f"{path.name} is deflated and grows beyond {_MAX_INFLATED_BYTES:,} bytes; it is refused "
                    "as a decompression bomb. Store it without compression.",
                    kind="bomb",
                )
    if not unpacker.eof:
        raise cut_short(path.name, "its deflated data set lacks its end")
    return b"".join(pieces)


def _check_pixels_are_there(dataset: Dataset, path: Path, *, in_memory: bool) -> None:
    names = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if in_memory and not any(dataset.get(name) for name in names):
        raise cut_short(path.name, "the pixels that its header tells of are not there")


def _rgb(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """(rows, columns, 3) uint8 from decoded colour; deeper colour keeps its upper 8 bits."""
    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = 8 * stored.dtype.itemsize
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise ValueError(f"its colour has the shape {stored.shape}; expected three channels")
    return (stored >> max(0, bits - 8)).astype(np.uint8)
