"""NIfTI: slices as a radiologist sees them, and every way in which a volume can be bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from overread.data import volume
from overread.data.image import read_frames, read_header, read_image
from overread.errors import ImageError

# RAS: the first axis runs to the right, the second to the front, the third to the head
VOLUME = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def _write(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **header: float) -> Path:
    nifti = nibabel.Nifti1Image(array, np.diag([2.0, 3.0, 5.0, 1]) if affine is None else affine)
    for name, value in header.items():
        nifti.header[name] = value
    content = nifti.to_bytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "ending-lost", "packed.gz"])
def test_slices_are_axial_front_up_and_right_at_left(tmp_path, name):
    path = _write(tmp_path / name, VOLUME)
    header = read_header(path)
    assert (header.n_frames, header.rows, header.columns, header.scale) == (4, 3, 2, "raw")
    assert dict(header.tags) == {"spacing_mm": "3.000x2.000", "thickness_mm": "5"}
    image = read_image(path, frame=1)
    assert image.pixels.dtype == np.float32
    # left column: the patient's right, x = 1; top row: the front, y = 2
    np.testing.assert_array_equal(image.pixels, [[VOLUME[1, y, 1], VOLUME[0, y, 1]] for y in (2, 1, 0)])


def test_packed_content_under_a_plain_name(tmp_path):
    packed = _write(tmp_path / "a.nii.gz", VOLUME)
    packed.rename(tmp_path / "a.nii")
    assert read_header(tmp_path / "a.nii").n_frames == 4


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "SRA", "ALI"])
def test_any_orientation_gives_the_same_slices(tmp_path, codes):
    expected = [image.pixels for image in read_frames(_write(tmp_path / "a.nii", VOLUME))]
    nifti = nibabel.Nifti1Image(VOLUME, np.diag([2.0, 3.0, 5.0, 1]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(nifti.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    turned = nifti.as_reoriented(turn)
    path = _write(tmp_path / "b.nii", np.asarray(turned.dataobj), turned.affine)
    assert read_header(path).tags["spacing_mm"] == "3.000x2.000"
    np.testing.assert_array_equal([image.pixels for image in read_frames(path)], expected)


def test_slope_and_intercept(tmp_path):
    nifti = nibabel.Nifti1Image(VOLUME, np.eye(4))
    nifti.header.set_slope_inter(2, -1024)
    content = bytearray(nifti.to_bytes())
    content[112:120] = np.array([2, -1024], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    pixels = read_image(tmp_path / "a.nii").pixels
    stored = nibabel.load(tmp_path / "a.nii").get_fdata()[::-1, ::-1, 0].T
    np.testing.assert_array_equal(pixels, stored)
    assert pixels.min() <= -1000


def test_one_slice(tmp_path):
    path = _write(tmp_path / "a.nii", VOLUME[:, :, 0])
    assert read_header(path).n_frames == 1
    assert read_image(path).pixels.shape == (3, 2)


def test_nifti_2_and_big_endian(tmp_path):
    (tmp_path / "a.nii").write_bytes(nibabel.Nifti2Image(VOLUME, np.eye(4)).to_bytes())
    assert read_image(tmp_path / "a.nii").pixels.shape == (3, 2)
    header = nibabel.Nifti1Header(endianness=">")
    big = nibabel.Nifti1Image(VOLUME.astype(">i2"), np.eye(4), header)
    (tmp_path / "b.nii").write_bytes(big.to_bytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").pixels, read_image(tmp_path / "b.nii").pixels)


def test_a_single_volume_with_a_time_axis(tmp_path):
    assert read_header(_write(tmp_path / "a.nii", VOLUME[..., None])).n_frames == 4


def test_several_volumes(tmp_path):
    with pytest.raises(ImageError, match=r"4 axes \(2 x 3 x 4 x 2\)") as failure:
        read_header(_write(tmp_path / "a.nii", np.stack([VOLUME, VOLUME], axis=-1)))
    assert failure.value.kind == "not-an-image"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated(tmp_path, name, kind_of):
    path = _write(tmp_path / name, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:9000])
    assert read_header(path).n_frames == 20
    assert kind_of(path) == "truncated"


def test_a_bomb_by_its_header(tmp_path):
    path = _write(tmp_path / "a.nii.gz", VOLUME)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(ImageError, match="30000 x 30000 x 30000") as failure:
        read_header(path)
    assert failure.value.kind == "bomb"


def test_the_bound_counts_voxels(tmp_path, monkeypatch, kind_of):
    monkeypatch.setattr(volume, "MAX_VOXELS", 23)
    assert kind_of(_write(tmp_path / "a.nii", VOLUME)) == "bomb"


def test_an_empty_axis(tmp_path, kind_of):
    path = _write(tmp_path / "a.nii", VOLUME)
    content = bytearray(path.read_bytes())
    content[40:48] = np.array([3, 2, 0, 4], "<i2").tobytes()
    path.write_bytes(content)
    assert kind_of(path) == "zero-size"


def test_nan_and_constant_slices_are_told_apart(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    values[1, 1, 0] = np.nan
    values[:, :, 1] = 4
    frames = read_frames(_write(tmp_path / "a.nii", values))
    kinds = []
    for _ in range(2):
        with pytest.raises(ImageError) as failure:
            next(frames)
        kinds.append(failure.value.kind)
    assert kinds == ["nan", "constant"]
    assert next(frames).frame == 2


def test_colour_volumes(tmp_path, kind_of):
    rgb = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert kind_of(_write(tmp_path / "a.nii", rgb)) == "unreadable"


def test_bytes_changed_anywhere_raise_nothing_else(tmp_path, capfd):
    path = _write(tmp_path / "a.nii", VOLUME)
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(300):
        spoiled = bytearray(whole)
        for at in rng.integers(0, 352, 5):
            spoiled[at] = rng.integers(256)
        path.write_bytes(spoiled)
        try:
            read_image(path)
        except ImageError:
            continue
    assert capfd.readouterr() == ("", "")
