"""DICOM: every transfer syntax that free decoders read, colour and frames."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from overread.data import dicom
from overread.data.image import prepare, read_frames, read_header, read_image
from overread.errors import ImageError
from overread.settings import ImageSettings


@pytest.mark.parametrize("dtype", ["i2", "u2"])
@pytest.mark.parametrize(
    ("syntax", "options", "error"),
    [
        (RLELossless, {}, 0),
        (JPEGLSLossless, {}, 0),
        (JPEGLSNearLossless, {"jls_error": 2}, 2),
        (JPEG2000Lossless, {}, 0),
    ],
)
def test_compressed_by_pydicom(make_dicom, ct, dtype, syntax, options, error):
    stored = (ct if dtype == "i2" else ct + 1024).astype(dtype)
    path = make_dicom(stored, edit=lambda ds: ds.compress(syntax, generate_instance_uid=False, **options))
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_allclose(read_image(path).pixels, stored, atol=error)


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEG2000Lossless"])
def test_compressed_by_gdcm(make_dicom, by_gdcm, ct, name):
    path = by_gdcm(make_dicom(ct), name)
    assert dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_image(path).pixels, ct)


@pytest.mark.parametrize("name", ["JPEGBaselineProcess1", "JPEGExtendedProcess2_4"])
def test_lossy_jpeg_in_8_bits(make_dicom, by_gdcm, ct, name):
    stored = (ct // 8 + 125).astype(np.uint8)
    path = by_gdcm(make_dicom(stored), name)
    np.testing.assert_allclose(read_image(path).pixels, stored, atol=4)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_encodings(tmp_path, make_dicom, ct, syntax):
    source = dcmread(make_dicom(ct))
    ds = Dataset(source)
    ds.file_meta = source.file_meta
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = ct.astype(">i2").tobytes()
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_image(tmp_path / "b.dcm").pixels, ct)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble(tmp_path, make_dicom, ct, implicit):
    ds = dcmread(make_dicom(ct))
    bare = Dataset()
    bare.update(ds)
    path = tmp_path / "old.img"
    bare.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    image = read_image(path)
    assert image.scale == "hu"
    np.testing.assert_array_equal(image.pixels, ct)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_jls_lossy_line.dcm",
    ],
)
def test_colour_however_it_is_stored(name, local_dicom):
    """All of these hold the same picture: bars of pure colour, red on top."""
    image = read_image(local_dicom(name))
    assert image.scale == "display"
    assert image.pixels.shape == (100, 100, 3)
    assert image.pixels.dtype == np.uint8
    np.testing.assert_allclose(image.pixels[5, 50].astype(int), (255, 0, 0), atol=3)


def test_planar_colour(make_dicom):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    path = make_dicom(pixels, PlanarConfiguration=1, PixelData=planes)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_palette_colour(local_dicom):
    image = read_image(local_dicom("examples_palette.dcm"))
    assert image.pixels.shape == (350, 800, 3)
    assert len(np.unique(image.pixels.reshape(-1, 3), axis=0)) > 10


def test_the_codestream_wins_where_the_sign_differs(local_dicom):
    assert read_image(local_dicom("J2K_pixelrep_mismatch.dcm")).pixels.min() == -2000


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_frames_one_by_one(make_dicom, ct, syntax):
    stored = np.stack([ct, ct + 10, ct + 20])
    path = make_dicom(stored, edit=lambda ds: ds.compress(syntax) if syntax else None)
    assert read_header(path).n_frames == 3
    images = list(read_frames(path))
    assert [image.frame for image in images] == [0, 1, 2]
    np.testing.assert_array_equal(np.stack([image.pixels for image in images]), stored)
    assert [image.pixels.max() for image in read_frames(path, [2, 0])] == [ct.max() + 20, ct.max()]


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_a_large_file_stays_on_disk(monkeypatch, make_dicom, ct, syntax):
    stored = np.stack([ct, ct + 10])
    path = make_dicom(stored, edit=lambda ds: ds.compress(syntax) if syntax else None)
    monkeypatch.setattr(dicom, "_IN_MEMORY_BYTES", 10)
    np.testing.assert_array_equal(np.stack([image.pixels for image in read_frames(path)]), stored)


def test_a_bad_frame_does_not_end_the_others(make_dicom, ct):
    frames = read_frames(make_dicom(np.stack([ct, np.zeros_like(ct), ct])))
    assert next(frames).frame == 0
    with pytest.raises(ImageError, match="frame 1, shows nothing"):
        next(frames)
    assert next(frames).frame == 2


def test_the_real_brain_ct(shared):
    """Private in nothing but its numbers: 512 x 512, kernel FC68, window 40/120."""
    path = shared / "data/brain-ct/dicom/aneurysm/0.dcm"
    image = read_image(path)
    assert (image.scale, image.window, image.header.tags["kernel"]) == ("hu", (40.0, 120.0), "FC68")
    assert image.pixels.min() < -900
    assert prepare(image, ImageSettings(window="brain,subdural,bone")).shape == (224, 224, 3)
