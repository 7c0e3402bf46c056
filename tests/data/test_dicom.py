"""DICOM: every transfer syntax that free decoders read, and every way in which a file can be bad."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from overread.data import dicom
from overread.data.image import prepare, read_frames, read_header, read_image
from overread.errors import ImageError
from overread.settings import ImageSettings


def _local(name: str) -> Path:
    """A file that comes with pydicom; none is downloaded."""
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"this pydicom does not bring {name}")
    return Path(found)


def _kind(path: Path) -> str:
    with pytest.raises(ImageError) as failure:
        prepare(read_image(path), ImageSettings())
    assert path.name in str(failure.value)
    assert str(path.parent) not in str(failure.value)
    assert "\n" not in str(failure.value)
    return failure.value.kind


def _by_gdcm(path: Path, name: str) -> Path:
    """Compress a file with GDCM, for what pydicom does not write."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


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
def test_compressed_by_gdcm(make_dicom, ct, name):
    path = _by_gdcm(make_dicom(ct), name)
    assert dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_image(path).pixels, ct)


@pytest.mark.parametrize("name", ["JPEGBaselineProcess1", "JPEGExtendedProcess2_4"])
def test_lossy_jpeg_in_8_bits(make_dicom, ct, name):
    stored = (ct // 8 + 125).astype(np.uint8)
    path = _by_gdcm(make_dicom(stored), name)
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
def test_colour_however_it_is_stored(name):
    """All of these hold the same picture: bars of pure colour, red on top."""
    image = read_image(_local(name))
    assert image.scale == "display"
    assert image.pixels.shape == (100, 100, 3)
    assert image.pixels.dtype == np.uint8
    np.testing.assert_allclose(image.pixels[5, 50].astype(int), (255, 0, 0), atol=3)


def test_planar_colour(make_dicom):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    path = make_dicom(pixels, PlanarConfiguration=1, PixelData=planes)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_palette_colour():
    image = read_image(_local("examples_palette.dcm"))
    assert image.pixels.shape == (350, 800, 3)
    assert len(np.unique(image.pixels.reshape(-1, 3), axis=0)) > 10


def test_the_codestream_wins_where_the_sign_differs():
    assert read_image(_local("J2K_pixelrep_mismatch.dcm")).pixels.min() == -2000


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


def test_a_frame_that_is_not_there(make_dicom):
    with pytest.raises(ImageError, match="no frame 1: it has 1") as failure:
        read_image(make_dicom(), frame=1)
    assert failure.value.kind == "missing"


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless])
def test_a_truncated_file(make_dicom, ct, share, syntax):
    path = make_dicom(np.tile(ct, (4, 4)), edit=lambda ds: ds.compress(syntax) if syntax else None)
    content = path.read_bytes()
    path.write_bytes(content[: 132 + int(share * (len(content) - 132))])
    assert _kind(path) == "truncated"


def test_truncation_is_found_without_decoding(make_dicom, ct):
    path = make_dicom(np.tile(ct, (4, 4)))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageError, match="1 frames need at least 49,152 bytes"):
        read_header(path)


def test_a_codestream_without_its_end(make_dicom, ct):
    def cut(ds: Dataset) -> None:
        ds.compress(JPEG2000Lossless)
        stream = ds.PixelData[16:]
        ds.PixelData = encapsulate([stream[: stream.rindex(b"\xff\xd9") // 4 * 2]])

    assert _kind(make_dicom(np.tile(ct, (4, 4)), edit=cut)) == "truncated"


def test_too_many_frames_for_the_file(make_dicom):
    assert _kind(make_dicom(NumberOfFrames=2_000_000_000)) == "truncated"


def test_a_bomb_by_its_header(make_dicom):
    assert _kind(make_dicom(Rows=65535, Columns=65535)) == "bomb"


def test_a_bomb_inside_jpeg_2000(make_dicom):
    def inflate(ds: Dataset) -> None:
        ds.compress(JPEG2000Lossless)
        size = ds.PixelData.index(b"\xff\x4f\xff\x51") + 8
        ds.PixelData = ds.PixelData[:size] + (90_000).to_bytes(4, "big") * 2 + ds.PixelData[size + 8 :]

    assert _kind(make_dicom(edit=inflate)) == "bomb"


def test_a_deflated_bomb(tmp_path, make_dicom, monkeypatch):
    monkeypatch.setattr(dicom, "_MAX_INFLATED_BYTES", 1_000_000)
    ds = dcmread(make_dicom())
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.add_new(0x00091010, "OB", bytes(3_000_000))
    path = tmp_path / "deflated.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 20_000
    assert _kind(path) == "bomb"


def test_no_pixels_at_all(make_dicom):
    assert _kind(make_dicom(Rows=0)) == "zero-size"


def test_a_constant_image(make_dicom):
    assert _kind(make_dicom(np.full((8, 8), 7, np.int16))) == "constant"


def test_a_padded_constant_image(make_dicom):
    stored = np.full((8, 8), 7, np.int16)
    stored[0] = -2000
    assert _kind(make_dicom(stored, PixelPaddingValue=-2000)) == "constant"


def test_values_that_are_no_numbers(make_dicom, ct):
    def to_float(ds: Dataset) -> None:
        values = ct.astype(np.float32)
        values[3, 4] = np.nan
        del ds.PixelData
        ds.BitsAllocated = 32
        ds.FloatPixelData = values.tobytes()

    assert _kind(make_dicom(ct, edit=to_float)) == "nan"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.94"])
def test_no_decoder(make_dicom, syntax):
    def pretend(ds: Dataset) -> None:
        ds.compress(RLELossless)
        ds.file_meta.TransferSyntaxUID = UID(syntax)

    assert _kind(make_dicom(edit=pretend)) == "no-codec"


def test_no_free_decoder_for_12_bit_jpeg():
    path = _local("JPGExtended.dcm")
    assert dcmread(path).file_meta.TransferSyntaxUID == JPEGExtended12Bit
    assert _kind(path) == "no-codec"


def test_a_damaged_codestream(make_dicom):
    def damage(ds: Dataset) -> None:
        ds.PixelData = encapsulate([b"\xff\xd8" + bytes(50) + b"\xff\xd9"])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0

    assert _kind(make_dicom(edit=damage)) in ("unreadable", "truncated")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test-SR.dcm", "Comprehensive SR"),
        ("rtstruct.dcm", "RT Structure Set"),
        ("waveform_ecg.dcm", "ECG"),
        ("liver_1frame.dcm", "mask"),
        ("DICOMDIR", "Directory"),
    ],
)
def test_dicom_that_is_no_image(name, words):
    path = _local(name)
    with pytest.raises(ImageError, match=words) as failure:
        read_header(path)
    assert failure.value.kind == "not-an-image"
    assert _kind(path) == "not-an-image"


def test_an_encapsulated_pdf(make_dicom):
    def pdf(ds: Dataset) -> None:
        for name in ("Rows", "Columns", "PixelData"):
            delattr(ds, name)
        ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.104.1")
        ds.EncapsulatedDocument = b"%PDF-1.7"

    assert _kind(make_dicom(edit=pdf)) == "not-an-image"


def test_malformed_optional_attributes_do_no_harm(make_dicom, ct):
    """Values too long or too strange for their type, as real files have them."""
    path = make_dicom(StudyID="1234567", WindowCenter=40.5, WindowWidth=80, KVP=120.25)
    content = path.read_bytes()
    for good, bad in ((b"40.5", b"wide"), (b"120.25", b"?????? "[:6]), (b"1.2.3.4", b"a.b c.!")):
        assert good in content
        content = content.replace(good, bad)
    path.write_bytes(content)
    image = read_image(path)
    assert image.window is None
    np.testing.assert_array_equal(image.pixels, ct)


def test_sequences_of_nothing_do_no_harm(make_dicom, ct):
    path = make_dicom(
        SharedFunctionalGroupsSequence=Sequence(), PerFrameFunctionalGroupsSequence=Sequence([Dataset()])
    )
    np.testing.assert_array_equal(read_image(path).pixels, ct)


def test_copies_of_every_file_cut_anywhere_raise_nothing_else(make_dicom, ct, tmp_path):
    """Whatever a cut leaves, it is an ImageError or an image."""
    whole = make_dicom(ct[:8, :12], edit=lambda ds: ds.compress(RLELossless)).read_bytes()
    path = tmp_path / "cut.dcm"
    for length in range(1, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError):
            read_image(path)


def test_bytes_changed_anywhere_raise_nothing_else(make_dicom, ct, tmp_path):
    whole = bytearray(make_dicom(ct[:8, :12]).read_bytes())
    rng = np.random.default_rng(3)
    path = tmp_path / "changed.dcm"
    refused = 0
    for _ in range(150):
        spoiled = bytearray(whole)
        for at in rng.integers(0, len(whole), 6):
            spoiled[at] = rng.integers(256)
        path.write_bytes(spoiled)
        try:
            prepare(read_image(path), ImageSettings(size_px=16))
        except ImageError:
            refused += 1
    assert 0 < refused < 150


def test_the_real_brain_ct(shared):
    """Private in nothing but its numbers: 512 x 512, kernel FC68, window 40/120."""
    path = shared / "data/brain-ct/dicom/aneurysm/0.dcm"
    image = read_image(path)
    assert (image.scale, image.window, image.header.tags["kernel"]) == ("hu", (40.0, 120.0), "FC68")
    assert image.pixels.min() < -900
    assert prepare(image, ImageSettings(window="brain,subdural,bone")).shape == (224, 224, 3)


def test_deflated_is_not_mistaken_for_truncated(tmp_path, make_dicom):
    """A deflated file is smaller than its pixels."""
    ds = dcmread(make_dicom(np.tile(np.arange(64, dtype=np.int16), (64, 1))))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(tmp_path / "d.dcm", enforce_file_format=True)
    assert (tmp_path / "d.dcm").stat().st_size < 64 * 64 * 2
    assert read_image(tmp_path / "d.dcm").pixels.max() == 63
    shutil.copy(tmp_path / "d.dcm", tmp_path / "e.dcm")
    content = (tmp_path / "e.dcm").read_bytes()
    (tmp_path / "e.dcm").write_bytes(content[:-40])
    assert zlib.crc32(content) != 0
    assert _kind(tmp_path / "e.dcm") == "truncated"
