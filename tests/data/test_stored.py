from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from pydicom import Dataset
from pydicom.encaps import encapsulate
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

from overread.data.stored import StoredFrames
from overread.errors import ImageError

COLOUR = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)
"""four frames of 6 rows, 5 columns and three channels"""


def _saved(dataset: Dataset, path: Path, syntax: str) -> Path:
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return path


@pytest.fixture
def frames(ct: np.ndarray) -> np.ndarray:
    """Three frames of int16, each another."""
    return np.stack([ct, ct - 7, ct[::-1]])


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_frames_are_cut_out_as_they_stand(make_dicom, frames, tmp_path: Path, syntax: Any) -> None:
    path = make_dicom(frames)
    if syntax is not None:
        path = _saved(pydicom.dcmread(path), tmp_path / "b.dcm", syntax)
    stored = StoredFrames(path)
    assert (stored.n_frames, stored.is_compressed, stored.has_values) == (3, False, True)
    assert [stored.values(index) for index in (2, 0, 1)] == [frames[index].tobytes() for index in (2, 0, 1)]


def test_big_endian_is_turned(make_dicom, frames, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(make_dicom(frames))
    dataset.PixelData = frames.astype(">i2").tobytes()
    stored = StoredFrames(_saved(dataset, tmp_path / "b.dcm", ExplicitVRBigEndian))
    assert stored.values(1) == frames[1].tobytes()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_grey_is_to_be_had_both_ways(make_dicom, frames, syntax: Any) -> None:
    path = make_dicom(frames, edit=lambda ds: ds.compress(syntax, generate_instance_uid=False))
    stored = StoredFrames(path)
    assert (stored.is_compressed, stored.has_values, stored.syntax) == (True, True, syntax)
    assert [stored.values(index) for index in range(3)] == [frame.tobytes() for frame in frames]
    whole = pydicom.dcmread(path).PixelData
    assert all(stored.stream(index) in whole for index in range(3))
    assert len({stored.stream(index) for index in range(3)}) == 3


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_colour_keeps_the_order_that_its_header_tells_of(make_dicom, tmp_path, planar: int, syntax: str) -> None:
    told = COLOUR.transpose(0, 3, 1, 2) if planar else COLOUR
    dataset = pydicom.dcmread(make_dicom(COLOUR))
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.PixelData = told.tobytes()
    dataset.PlanarConfiguration = planar
    path = _saved(dataset, tmp_path / "b.dcm", syntax)
    assert StoredFrames(path).values(3) == told[3].tobytes()


def test_colour_that_is_compressed_in_another_space_is_to_be_had_as_it_is(make_dicom) -> None:
    made = io.BytesIO()
    Picture.fromarray(COLOUR[0]).save(made, format="JPEG")

    def edit(dataset: Dataset) -> None:
        dataset.PixelData = encapsulate([made.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PhotometricInterpretation = "YBR_FULL_422"

    stored = StoredFrames(make_dicom(COLOUR[0], edit=edit))
    assert not stored.has_values
    assert stored.stream(0).rstrip(b"\0") == made.getvalue().rstrip(b"\0")


def test_what_is_not_there_is_refused(make_dicom, frames) -> None:
    path = make_dicom(frames)
    with pytest.raises(ImageError, match="has no frame 3"):
        StoredFrames(path).values(3)
    stored = StoredFrames(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match="frame 2 is not whole"):
        stored.values(2)
    with pytest.raises(ImageError):
        StoredFrames(path.with_name("gone.dcm"))
