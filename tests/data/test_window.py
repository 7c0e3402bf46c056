"""From values to what a network sees."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.image import Header, Image, prepare, resolve_window
from overread.errors import ImageError
from overread.settings import ImageSettings


def _image(pixels, scale="hu", *, format="dicom", tags=None, **more):
    header = Header(
        format=format, n_frames=1, rows=pixels.shape[0], columns=pixels.shape[1], scale=scale, tags=tags or {}
    )
    more.setdefault("window", None)
    dtype = np.uint8 if scale == "display" else np.float32
    return Image(pixels=pixels.astype(dtype), scale=scale, header=header, frame=0, **more)


HU = np.array([[-1000, 0, 40, 80]] * 4, np.float32).repeat(4, axis=0).repeat(4, axis=1)


def test_a_named_window():
    prepared = prepare(_image(HU), ImageSettings(window="brain", size_px=16))
    assert prepared.shape == (16, 16, 3)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared[8, [0, 5, 10, 15]], [[0] * 3, [0] * 3, [128] * 3, [255] * 3])


def test_three_windows_are_three_channels():
    prepared = prepare(_image(HU), ImageSettings(window="brain,-500/1000,40/20", size_px=16))
    np.testing.assert_array_equal(prepared[8, 5], [0, 255, 0])
    np.testing.assert_array_equal(prepared[8, 10], [128, 255, 128])


@pytest.mark.parametrize("window", ["header", "auto"])
def test_without_a_window_the_files_own_or_the_full_range(window):
    settings = ImageSettings(window=window, size_px=16)
    own = prepare(_image(HU, window=(40.5, 81.0)), settings)
    np.testing.assert_array_equal(own[8, [0, 5, 10, 15], 0], [0, 0, 128, 255])
    full = prepare(_image(HU), settings)
    np.testing.assert_array_equal(full[8, [0, 15], 0], [0, 255])
    assert full[8, 10, 0] == round((40 + 1000) / 1080 * 255)


@pytest.mark.parametrize("shape", [(512, 512), (300, 500), (100, 90, 3)])
def test_pictures_are_resized_as_pillow_does_and_not_otherwise_touched(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    prepared = prepare(_image(pixels, "display", format="png"), ImageSettings(window="auto"))
    expected = np.array(Pillow.fromarray(pixels).resize((224, 224), Pillow.Resampling.BILINEAR).convert("RGB"))
    np.testing.assert_array_equal(prepared, expected)


def test_resizing_is_that_of_torchvision():
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(0).integers(0, 256, (512, 400)).astype(np.uint8)
    prepared = prepare(_image(pixels, "display", format="png"), ImageSettings())
    expected = transforms.resize(torch.from_numpy(pixels)[None], [224, 224], antialias=True)[0].numpy()
    assert np.abs(prepared[..., 0].astype(int) - expected).max() <= 1


def test_padding_keeps_the_shape():
    pixels = np.full((20, 80), 200, np.uint8)
    pixels[0, 0] = 0
    prepared = prepare(_image(pixels, "display", format="png"), ImageSettings(size_px=40, fit="pad"))
    assert prepared.shape == (40, 40, 3)
    rows = np.flatnonzero(prepared[:, 20, 0])
    np.testing.assert_array_equal(rows, range(15, 25))


def test_padding_a_thin_colour_picture():
    pixels = np.random.default_rng(0).integers(1, 255, (400, 2, 3)).astype(np.uint8)
    prepared = prepare(_image(pixels, "display", format="png"), ImageSettings(size_px=32, fit="pad"))
    assert np.flatnonzero(prepared.any(axis=(0, 2))).tolist() == [15]


def test_a_prepared_image_is_its_own_memory():
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    image = _image(pixels, "display", format="png")
    prepared = prepare(image, ImageSettings(size_px=16))
    prepared[:] = 0
    assert image.pixels.any()


def test_a_ct_window_on_a_picture():
    with pytest.raises(ImageError, match=r"brain needs Hounsfield units.*--window header") as failure:
        prepare(_image(np.eye(16) * 200, "display", format="jpeg"), ImageSettings(window="brain"))
    assert failure.value.kind == "no-hounsfield"


def test_a_ct_window_on_dicom_that_is_no_ct():
    image = _image(np.eye(16) * 200, "raw", tags={"modality": "MR"})
    with pytest.raises(ImageError, match="modality MR") as failure:
        prepare(image, ImageSettings(window="40/80,brain,bone"))
    assert failure.value.kind == "no-hounsfield"
    assert prepare(image, ImageSettings(window="100/200")).max() == 255


def test_a_ct_window_on_nifti_is_taken_at_its_word():
    assert prepare(_image(HU, "raw", format="nifti"), ImageSettings(window="brain")).max() == 255


def _header(scale="hu", body_part=None):
    tags = {"body_part": body_part} if body_part else {}
    return Header(format="dicom", n_frames=1, rows=1, columns=1, scale=scale, tags=tags)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["HEAD", "BRAIN", None], "brain,subdural,bone"),
        (["CHEST"], "lung,mediastinum,bone"),
        (["Thorax", "CHEST"], "lung,mediastinum,bone"),
        (["ABDOMEN"], "abdomen,lung,bone"),
        (["HEAD", "CHEST"], "abdomen,lung,bone"),
        (["CHESTABDOMEN"], "abdomen,lung,bone"),
        ([None], "abdomen,lung,bone"),
    ],
)
def test_auto_is_resolved_by_body_part(parts, expected):
    settings = resolve_window(ImageSettings(size_px=96), [_header(body_part=part) for part in parts])
    assert settings == ImageSettings(size_px=96, window=expected)


@pytest.mark.parametrize("scales", [[], ["display"], ["hu", "display"], ["raw", "hu"]])
def test_auto_is_the_files_own_where_not_all_have_units(scales):
    assert resolve_window(ImageSettings(), [_header(scale) for scale in scales]).window == "header"


def test_a_chosen_window_stays():
    assert resolve_window(ImageSettings(window="lung"), [_header("display")]).window == "lung"
