"""Colour in JPEG Baseline, however the stream and the header say what it is."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from overread.data.image import read_image
from overread.errors import ImageError

COLOURS = np.array([[(250, 20, 20), (20, 220, 30)], [(30, 40, 240), (200, 190, 60)]], np.uint8)
PATCHES = COLOURS.repeat(16, axis=0).repeat(16, axis=1)


def _jpeg(*, keep_rgb: bool = False) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(PATCHES).save(stream, "JPEG", quality=95, subsampling=0, keep_rgb=keep_rgb)
    return stream.getvalue()


def _without(stream: bytes, marker: bytes) -> bytes:
    at = stream.index(marker)
    return stream[:at] + stream[at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big") :]


def _adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


JFIF = _jpeg()
BARE = _without(JFIF, b"\xff\xe0")
STREAMS = {
    "JFIF": JFIF,
    "Adobe, YCbCr": BARE[:2] + _adobe(1) + BARE[2:],
    "JFIF and Adobe, YCbCr": JFIF[:20] + _adobe(1) + JFIF[20:],
    "Adobe, RGB": _jpeg(keep_rgb=True),
    "components named R, G, B": _without(_jpeg(keep_rgb=True), b"\xff\xee"),
}


def _edit(stream: bytes, said: str, n_frames: int = 1):
    def edit(dataset) -> None:
        dataset.PixelData = encapsulate([stream] * n_frames)
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PhotometricInterpretation = said
        dataset.NumberOfFrames = n_frames

    return edit


@pytest.mark.parametrize("said", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("name", STREAMS)
def test_the_stream_s_own_word_is_believed(make_dicom, name: str, said: str) -> None:
    path = make_dicom(PATCHES, edit=_edit(STREAMS[name], said))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of a header that says otherwise
        found = read_image(path).pixels
    np.testing.assert_allclose(found.astype(int), PATCHES, atol=16)


@pytest.mark.parametrize("said", ["YBR_FULL", "YBR_FULL_422"])
def test_the_header_is_believed_where_the_stream_says_nothing(make_dicom, said: str) -> None:
    found = read_image(make_dicom(PATCHES, edit=_edit(BARE, said))).pixels
    np.testing.assert_allclose(found.astype(int), PATCHES, atol=16)


def test_every_frame_of_several(make_dicom) -> None:
    path = make_dicom(PATCHES, edit=_edit(STREAMS["Adobe, YCbCr"], "YBR_FULL_422", 2))
    for frame in range(2):
        np.testing.assert_allclose(read_image(path, frame=frame).pixels.astype(int), PATCHES, atol=16)


def test_a_grey_stream_with_adobe_s_marker_is_not_taken_for_colour(make_dicom) -> None:
    grey = io.BytesIO()
    Pillow.fromarray(PATCHES[..., 1]).save(grey, "JPEG", quality=95)
    stream = grey.getvalue()[:2] + _adobe(0) + grey.getvalue()[2:]
    np.testing.assert_allclose(
        read_image(make_dicom(PATCHES[..., 1], edit=_edit(stream, "MONOCHROME2"))).pixels, PATCHES[..., 1], atol=4
    )
    with pytest.raises(ImageError):
        read_image(make_dicom(PATCHES, edit=_edit(stream, "RGB")))


def test_a_stream_of_another_size_is_refused(make_dicom) -> None:
    path = make_dicom(np.zeros((40, 40, 3), np.uint8), edit=_edit(STREAMS["Adobe, YCbCr"], "YBR_FULL_422"))
    with pytest.raises(ImageError):
        read_image(path)
