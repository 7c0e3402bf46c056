"""Formats are told by content; what is no image is told by kind."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.sniff import sniff
from overread.errors import ImageError


def _png(path: Path) -> None:
    Pillow.new("L", (4, 4)).save(path, format="PNG")


def _jpeg(path: Path) -> None:
    Pillow.new("L", (4, 4)).save(path, format="JPEG")


def _tiff(path: Path) -> None:
    Pillow.new("L", (4, 4)).save(path, format="TIFF")


def _nifti(path: Path) -> None:
    path.write_bytes(nibabel.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)).to_bytes())


def _nifti_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(nibabel.Nifti2Image(np.ones((2, 2, 2), np.int16), np.eye(4)).to_bytes()))


def _npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, train_images=np.ones((1, 2, 2), np.uint8))


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (_png, "png"),
        (_jpeg, "jpeg"),
        (_tiff, "tiff"),
        (_nifti, "nifti"),
        (_nifti_gz, "nifti"),
        (_npz, "npz"),
    ],
)
def test_the_ending_of_the_name_does_not_matter(tmp_path, write, expected):
    path = tmp_path / "image.xyz"
    write(path)
    assert sniff(path) == expected


def test_dicom_by_content(make_dicom):
    assert sniff(make_dicom(name="picture.jpg")) == "dicom"


def test_dicom_whose_preamble_is_a_tiff_header(make_dicom):
    path = make_dicom()
    path.write_bytes(b"II*\x00" + path.read_bytes()[4:])
    assert sniff(path) == "dicom"


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "empty", "0 bytes"),
        (b"patient,label\n1,2\n", "not-an-image", "holds text"),
        ("Schädel, Übersicht".encode(), "not-an-image", "holds text"),
        (b"GIF89a" + bytes(40), "not-an-image", "GIF"),
        (b"%PDF-1.7", "not-an-image", "PDF"),
        (bytes(range(200)), "not-an-image", "00 01 02"),
        (gzip.compress(b"x" * 4000), "not-an-image", "gzip"),
        (b"PK\x03\x04 and no archive", "truncated", "zip"),
        (bytes(344) + b"ni1\x00", "not-an-image", ".hdr and .img"),
    ],
)
def test_what_is_no_image_says_what_it_is(tmp_path, content, kind, words):
    path = tmp_path / "scan.dcm"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=words) as failure:
        sniff(path)
    assert failure.value.kind == kind
    assert "\n" not in str(failure.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ImageError, match="not there") as failure:
        sniff(tmp_path / "none.dcm")
    assert failure.value.kind == "missing"
    assert str(tmp_path) not in str(failure.value)


def test_a_folder(tmp_path):
    with pytest.raises(ImageError, match="is a folder") as failure:
        sniff(tmp_path)
    assert failure.value.kind == "not-an-image"
