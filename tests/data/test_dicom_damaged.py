"""DICOM: every way in which a file can be bad."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filewriter import write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from overread.data import dicom
from overread.data.image import prepare, read_header, read_image
from overread.errors import ImageError
from overread.settings import ImageSettings


def test_a_frame_that_is_not_there(make_dicom):
    with pytest.raises(ImageError, match="no frame 1: it has 1") as failure:
        read_image(make_dicom(), frame=1)
    assert failure.value.kind == "missing"


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless])
def test_a_truncated_file(make_dicom, ct, share, syntax, kind_of):
    path = make_dicom(np.tile(ct, (4, 4)), edit=lambda ds: ds.compress(syntax) if syntax else None)
    content = path.read_bytes()
    path.write_bytes(content[: 132 + int(share * (len(content) - 132))])
    assert kind_of(path) == "truncated"


def test_truncation_is_found_without_decoding(make_dicom, ct):
    path = make_dicom(np.tile(ct, (4, 4)))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageError, match="1 frames need at least 49,152 bytes"):
        read_header(path)


def test_a_codestream_without_its_end(make_dicom, ct, kind_of):
    def cut(ds: Dataset) -> None:
        ds.compress(JPEG2000Lossless)
        stream = ds.PixelData[16:]
        ds.PixelData = encapsulate([stream[: stream.rindex(b"\xff\xd9") // 4 * 2]])

    assert kind_of(make_dicom(np.tile(ct, (4, 4)), edit=cut)) == "truncated"


def test_too_many_frames_for_the_file(make_dicom, kind_of):
    assert kind_of(make_dicom(NumberOfFrames=2_000_000_000)) == "truncated"


def test_a_bomb_by_its_header(make_dicom, kind_of):
    assert kind_of(make_dicom(Rows=65535, Columns=65535)) == "bomb"


def test_a_bomb_inside_jpeg_2000(make_dicom, kind_of):
    def inflate(ds: Dataset) -> None:
        ds.compress(JPEG2000Lossless)
        size = ds.PixelData.index(b"\xff\x4f\xff\x51") + 8
        ds.PixelData = ds.PixelData[:size] + (90_000).to_bytes(4, "big") * 2 + ds.PixelData[size + 8 :]

    assert kind_of(make_dicom(edit=inflate)) == "bomb"


def _frame_header(ds: Dataset, mark: bytes, size: bytes) -> None:
    """Write another size into the frame header of a JPEG stream (ITU-T T.81 B.2.2)."""
    at = ds.PixelData.index(mark) + 5
    ds.PixelData = ds.PixelData[:at] + size + ds.PixelData[at + len(size) :]


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\x00\x10\x01\x00"])
def test_a_jpeg_stream_that_is_larger_than_its_header_says(make_dicom, ct, kind_of, size):
    def inflate(ds: Dataset) -> None:
        ds.compress(JPEGLSLossless)
        _frame_header(ds, b"\xff\xf7\x00\x0b", size)

    assert kind_of(make_dicom(ct[:8, :8], edit=inflate)) == "bomb"


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_codestream_of_a_later_frame_is_looked_at_too(make_dicom, ct, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr(dicom, "_IN_MEMORY_BYTES", 0)

    def inflate(ds: Dataset) -> None:
        ds.compress(JPEGLSLossless)
        first = generate_frames(ds.PixelData, number_of_frames=1)
        frame = next(first)
        at = frame.index(b"\xff\xf7\x00\x0b") + 5
        ds.PixelData = encapsulate([frame, frame[:at] + b"\xff\xff\xff\xff" + frame[at + 4 :]])
        ds.NumberOfFrames = 2

    path = make_dicom(edit=inflate)
    np.testing.assert_array_equal(read_image(path).pixels, ct)
    with pytest.raises(ImageError) as failure:
        read_image(path, frame=1)
    assert failure.value.kind == "bomb"


def test_a_frame_that_unpacks_to_more_than_it_may(make_dicom, ct, kind_of):
    """The decoder is written in Rust, and panics with what is no Exception of Python's."""

    def overflow(ds: Dataset) -> None:
        ds.compress(RLELossless)
        segment = b"\x81\x07" * (ds.Rows * ds.Columns // 128 + 3)
        lengths = struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13)
        ds.PixelData = encapsulate([lengths + segment + segment])

    assert kind_of(make_dicom(np.tile(ct, (2, 2)), edit=overflow)) == "unreadable"


@pytest.mark.parametrize("spoil", ["near", "colour", "deep"])
def test_no_decoder_ends_the_process(make_dicom, ct, spoil, by_gdcm):
    """GDCM throws through Python for such files, where it is asked."""

    def damage(ds: Dataset) -> None:
        if spoil == "colour":
            ds.compress(JPEG2000Lossless)
            ds.PhotometricInterpretation, ds.Rows, ds.NumberOfFrames = "YBR_FULL_422", 12, 2
        else:
            ds.compress(JPEGLSLossless)
            at = ds.PixelData.index(b"\xff\xda") + 8
            ds.PixelData = ds.PixelData[:at] + b"\x40" * 12 + ds.PixelData[at + 12 :]

    if spoil == "deep":
        path = by_gdcm(make_dicom(ct), "JPEGLosslessProcess14_1")
        deep = dcmread(path)
        deep.BitsAllocated = 64
        deep.save_as(path)
    else:
        path = make_dicom(np.tile(ct, (2, 2)), edit=damage)
    script = "import sys; from overread.data.image import read_image; read_image(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr[-300:]


def test_a_deflated_bomb(tmp_path, make_dicom, monkeypatch, kind_of):
    monkeypatch.setattr(dicom, "_MAX_INFLATED_BYTES", 1_000_000)
    ds = dcmread(make_dicom())
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.add_new(0x00091010, "OB", bytes(3_000_000))
    path = tmp_path / "deflated.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 20_000
    assert kind_of(path) == "bomb"


@pytest.mark.parametrize("way", ["of no told length", "of told length", "deflated"])
def test_a_sequence_of_very_many_items_is_not_taken_apart(tmp_path, make_dicom, kind_of, way):
    """An item of 8 bytes becomes a kilobyte of memory."""
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 600_000
    content = make_dicom().read_bytes()
    begin = 144 + int.from_bytes(content[140:144], "little")
    length = len(items) if way == "of told length" else 0xFFFFFFFF
    # Per-frame Functional Groups Sequence, which every reader asks for
    sequence = struct.pack("<HH2s2xI", 0x5200, 0x9230, b"SQ", length) + items
    end = b"" if way == "of told length" else b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    pixels = content.index(b"\xe0\x7f\x10\x00")
    content = content[:pixels] + sequence + end + content[pixels:]
    if way == "deflated":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = packer.compress(content[begin:]) + packer.flush()
        meta = dcmread(make_dicom()).file_meta
        meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        stream = io.BytesIO()
        write_file_meta_info(stream, meta)
        content = bytes(128) + b"DICM" + stream.getvalue() + body
    path = tmp_path / "many.dcm"
    path.write_bytes(content)
    assert kind_of(path) == "bomb"


def test_no_pixels_at_all(make_dicom, kind_of):
    assert kind_of(make_dicom(Rows=0)) == "zero-size"


def test_a_constant_image(make_dicom, kind_of):
    assert kind_of(make_dicom(np.full((8, 8), 7, np.int16))) == "constant"


def test_a_padded_constant_image(make_dicom, kind_of):
    stored = np.full((8, 8), 7, np.int16)
    stored[0] = -2000
    assert kind_of(make_dicom(stored, PixelPaddingValue=-2000)) == "constant"


def test_values_that_are_no_numbers(make_dicom, ct, kind_of):
    def to_float(ds: Dataset) -> None:
        values = ct.astype(np.float32)
        values[3, 4] = np.nan
        del ds.PixelData
        ds.BitsAllocated = 32
        ds.FloatPixelData = values.tobytes()

    assert kind_of(make_dicom(ct, edit=to_float)) == "nan"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.94"])
def test_no_decoder(make_dicom, syntax, kind_of):
    def pretend(ds: Dataset) -> None:
        ds.compress(RLELossless)
        ds.file_meta.TransferSyntaxUID = UID(syntax)

    assert kind_of(make_dicom(edit=pretend)) == "no-codec"


def test_no_free_decoder_for_12_bit_jpeg(kind_of, local_dicom):
    path = local_dicom("JPGExtended.dcm")
    assert dcmread(path).file_meta.TransferSyntaxUID == JPEGExtended12Bit
    assert kind_of(path) == "no-codec"


def test_a_damaged_codestream(make_dicom, kind_of):
    def damage(ds: Dataset) -> None:
        ds.PixelData = encapsulate([b"\xff\xd8" + bytes(50) + b"\xff\xd9"])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0

    assert kind_of(make_dicom(edit=damage)) in ("unreadable", "truncated")


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
def test_dicom_that_is_no_image(name, words, kind_of, local_dicom):
    path = local_dicom(name)
    with pytest.raises(ImageError, match=words) as failure:
        read_header(path)
    assert failure.value.kind == "not-an-image"
    assert kind_of(path) == "not-an-image"


def test_an_encapsulated_pdf(make_dicom, kind_of):
    def pdf(ds: Dataset) -> None:
        for name in ("Rows", "Columns", "PixelData"):
            delattr(ds, name)
        ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.104.1")
        ds.EncapsulatedDocument = b"%PDF-1.7"

    assert kind_of(make_dicom(edit=pdf)) == "not-an-image"


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


def test_deflated_is_not_mistaken_for_truncated(tmp_path, make_dicom, kind_of):
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
    assert kind_of(tmp_path / "e.dcm") == "truncated"
