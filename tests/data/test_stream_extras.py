from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from overread.data.stream_extras import clear_extras

SECRET = b"Zyxwv^Quentin"
PICTURE = np.random.default_rng(3).integers(0, 255, (64, 64), np.uint8)


def _jpeg() -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(PICTURE).save(
        stream, "JPEG", comment=SECRET, exif=b"Exif\0\0" + SECRET, restart_marker_blocks=4
    )
    return stream.getvalue()


def _jpeg_2000() -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(PICTURE).save(stream, "JPEG2000", no_jp2=True, comment=SECRET.decode(), tile_size=(32, 32))
    return stream.getvalue()


def _dataset(frames: list[bytes]) -> Dataset:
    dataset = Dataset()
    dataset.NumberOfFrames, dataset.PixelData = len(frames), encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize(("make", "syntax"), [(_jpeg, JPEGBaseline8Bit), (_jpeg_2000, JPEG2000Lossless)])
@pytest.mark.parametrize("tail", [b"", SECRET])
def test_what_lies_beside_the_image_goes_and_the_image_stays(
    make: Callable[[], bytes], syntax: str, tail: bytes
) -> None:
    stream = make()
    assert SECRET in stream
    dataset = _dataset([stream + tail, stream + tail])
    length = len(dataset.PixelData)
    clear_extras(dataset, syntax)
    assert SECRET not in dataset.PixelData
    assert len(dataset.PixelData) == length
    before = np.asarray(Picture.open(io.BytesIO(stream)))
    for frame in generate_frames(dataset.PixelData, number_of_frames=2):
        np.testing.assert_array_equal(np.asarray(Picture.open(io.BytesIO(frame))), before)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("cut", [2, 5, 40, 300])
def test_a_stream_that_is_cut_short_is_got_over(syntax: str, cut: int) -> None:
    for stream in (_jpeg()[:cut], _jpeg_2000()[:cut]):
        clear_extras(_dataset([stream]), syntax)
