from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from overread.data.unused_bits import clear_unused_bits, hides_overlay
from overread.errors import ImageError

SHAPE = ROWS, COLUMNS = 3, 5


def _image(
    values: NDArray[Any], *, stored: int, high: int | None = None, syntax: UID = ExplicitVRLittleEndian
) -> Dataset:
    """The data set of an image as it is read from a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored = values.dtype.itemsize * 8, stored
    dataset.HighBit = stored - 1 if high is None else high
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    is_big = syntax == ExplicitVRBigEndian
    content = values.astype(values.dtype.newbyteorder(">" if is_big else "<")).tobytes()
    dataset.add_new("PixelData", "OW", content + b"\0" * (len(content) % 2))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=not is_big)
    stream.seek(0)
    return pydicom.dcmread(stream)


def _all_bits(dataset: Dataset, kind: str, *, big_endian: bool = False) -> NDArray[Any]:
    """Pixels as one reads them who looks at all bits of each."""
    order = np.dtype(kind).newbyteorder(">" if big_endian else "<")
    return np.frombuffer(dataset.PixelData, order, count=ROWS * COLUMNS).reshape(SHAPE)


@pytest.mark.parametrize(
    ("kind", "stored", "big_endian"),
    [(f"{sign}{size}", stored, big) for sign in "ui" for size, stored in ((2, 12), (4, 20)) for big in (False, True)]
    + [("u1", 6, False), ("i1", 6, False)],
)
def test_bits_above_values_are_cleared_and_values_stay(kind: str, stored: int, big_endian: bool) -> None:
    low, high = (-(1 << stored - 1), 1 << stored - 1) if kind[0] == "i" else (0, 1 << stored)
    values = np.random.default_rng(0).integers(low, high, SHAPE).astype(kind)
    values[0, :3] = low, high - 1, 0
    drawn = values.copy()
    unsigned = drawn.view(f"u{kind[1]}")
    unsigned[1] ^= unsigned.dtype.type(1 << unsigned.dtype.itemsize * 8 - 1)  # a line in the highest bit
    dataset = _image(drawn, stored=stored, syntax=ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian)
    assert (_all_bits(dataset, kind, big_endian=big_endian) != values).any()
    clear_unused_bits(dataset, big_endian=big_endian)
    assert (_all_bits(dataset, kind, big_endian=big_endian) == values).all()
    assert (dataset.pixel_array == values).all()


def test_a_negative_value_without_its_signs_bits_is_read_as_before() -> None:
    values = np.full(SHAPE, -5, "i2")
    dataset = _image((values & 0x0FFF).astype("i2"), stored=12)
    assert (dataset.pixel_array == values).all()
    clear_unused_bits(dataset)
    assert (dataset.pixel_array == values).all()
    assert (_all_bits(dataset, "i2") == values).all()


def test_bits_below_values_are_cleared_too() -> None:
    values = np.arange(ROWS * COLUMNS, dtype="u2").reshape(SHAPE) << 4
    dataset = _image(values | 1, stored=12, high=15)
    clear_unused_bits(dataset)
    assert (_all_bits(dataset, "u2") == values).all()


def test_pixels_that_use_all_bits_stay() -> None:
    dataset = _image(np.arange(ROWS * COLUMNS, dtype="u2").reshape(SHAPE) << 8, stored=16)
    before = bytes(dataset.PixelData)
    clear_unused_bits(dataset)
    assert dataset.PixelData == before
    clear_unused_bits(Dataset())


@pytest.mark.parametrize(("stored", "high"), [(12, 16), (12, 5), (0, 11)])
def test_a_header_that_contradicts_itself_is_refused(stored: int, high: int) -> None:
    dataset = _image(np.zeros(SHAPE, "u2"), stored=12)
    dataset.BitsStored, dataset.HighBit = stored, high
    with pytest.raises(ImageError, match="Mend its header"):
        clear_unused_bits(dataset)


@pytest.mark.parametrize(
    ("position", "has_data", "hides"), [(15, False, True), (0, False, True), (15, True, True), (0, True, False)]
)
def test_an_overlay_in_compressed_pixels_is_seen(position: int, has_data: bool, hides: bool) -> None:
    dataset = _image(np.zeros(SHAPE, "u2"), stored=12)
    dataset.add_new(0x60020102, "US", position)
    if has_data:
        dataset.add_new(0x60023000, "OW", b"\0\0")
    assert not hides_overlay(dataset)
    dataset.compress(RLELossless, generate_instance_uid=False)
    before = bytes(dataset.PixelData)
    assert hides_overlay(dataset) == hides
    clear_unused_bits(dataset)
    assert dataset.PixelData == before
