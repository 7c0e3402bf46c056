"""PNG, JPEG and TIFF in every mode, and every way in which they can be bad."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from overread.data import pixels as bounds
from overread.data.image import read_frames, read_header, read_image
from overread.data.window import own_brightness
from overread.errors import ImageError

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def _png_of(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds almost nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Pillow.fromarray(RAMP).save(path)
    image = read_image(path)
    assert (image.scale, image.pixels.dtype, image.window) == ("display", np.uint8, None)
    np.testing.assert_array_equal(image.pixels, RAMP)
    header = read_header(path)
    assert (header.rows, header.columns, header.n_frames, header.patient) == (6, 8, 1, None)


def test_jpeg(tmp_path):
    Pillow.fromarray(RAMP).save(tmp_path / "a.jpg", quality=98)
    image = read_image(tmp_path / "a.jpg")
    assert image.header.format == "jpeg"
    np.testing.assert_allclose(image.pixels.astype(int), RAMP, atol=4)


def test_colour_keeps_its_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 4, 3)).astype(np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, pixels)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_stay_16_bits(tmp_path, ending):
    stored = np.array([[0, 300], [40000, 65535]], np.uint16)
    path = tmp_path / f"a.{ending}"
    Pillow.fromarray(stored).save(path)
    assert read_header(path).scale == "raw"
    image = read_image(path)
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, stored)
    np.testing.assert_array_equal(own_brightness(image), [[0, 1], [156, 255]])


def test_16_bit_tiff_whose_zero_is_white(tmp_path):
    stored = np.array([[0, 40000]], np.uint16)
    Pillow.fromarray(stored).save(tmp_path / "a.tif", tiffinfo={262: 0})
    image = read_image(tmp_path / "a.tif")
    if image.pixels[0, 0] == 0:
        assert image.inverted
    np.testing.assert_array_equal(own_brightness(image), [[255, 0]])


def test_float_tiff(tmp_path):
    stored = np.array([[-1.5, 2.25]], np.float32)
    Pillow.fromarray(stored).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, stored)


def test_palette(tmp_path):
    picture = Pillow.fromarray((RAMP > 100).astype(np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[0, 0], [10, 20, 30])
    np.testing.assert_array_equal(pixels[-1, -1], [200, 100, 50])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_black(tmp_path, mode):
    grey = np.full((2, 3), 200, np.uint8)
    alpha = np.array([[0, 255, 128]] * 2, np.uint8)
    Pillow.fromarray(np.stack([grey] * (len(mode) - 1) + [alpha], axis=-1), mode).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels.shape == ((2, 3) if mode == "LA" else (2, 3, 3))
    np.testing.assert_allclose(pixels[0, :].reshape(3, -1)[:, 0].astype(int), [0, 200, 100], atol=1)


def test_a_transparent_palette_entry_is_black(tmp_path):
    picture = Pillow.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    picture.putpalette([250, 250, 250, 90, 90, 90])
    picture.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels[..., 0], [[0, 90]])


def test_1_bit(tmp_path):
    Pillow.fromarray(RAMP > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, np.where(RAMP > 100, 255, 0))


def test_cmyk(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[4:, :, 3] = 255
    Pillow.fromarray(pixels, "CMYK").save(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(found[7, 0], [0, 0, 0])


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, ending, orientation):
    upright = np.kron(np.array([[10, 80, 140], [200, 230, 255]], np.uint8), np.ones((16, 16), np.uint8))
    turns = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Pillow.fromarray(np.ascontiguousarray(turns[orientation])).save(path, exif=exif)
    header = read_header(path)
    image = read_image(path)
    np.testing.assert_allclose(image.pixels.astype(int), upright.astype(int), atol=3)
    assert (header.rows, header.columns) == image.pixels.shape


def test_pages_of_a_tiff_are_frames(tmp_path):
    pages = [Pillow.fromarray(RAMP + page) for page in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_header(tmp_path / "a.tif").n_frames == 3
    assert [image.pixels[0, 0] for image in read_frames(tmp_path / "a.tif")] == [0, 1, 2]
    assert read_image(tmp_path / "a.tif", frame=2).pixels[0, 0] == 2


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9])
def test_truncated(tmp_path, ending, share, kind_of):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Pillow.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: max(12, int(len(content) * share))])
    assert kind_of(path) == "truncated"


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9])
def test_truncated_whatever_another_library_has_told_pillow(tmp_path, ending, share, kind_of, monkeypatch):
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    Pillow.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: max(12, int(len(content) * share))])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert kind_of(path) == "truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # what others rely on is left to them


def test_a_bomb_for_overread(tmp_path, kind_of):
    (tmp_path / "a.png").write_bytes(_png_of(13_000, 11_000))
    assert kind_of(tmp_path / "a.png") == "bomb"


def test_a_bomb_for_pillow(tmp_path, kind_of):
    (tmp_path / "a.png").write_bytes(_png_of(65_000, 65_000))
    assert kind_of(tmp_path / "a.png") == "bomb"


def test_large_pictures_below_the_bound_are_not_bombs(tmp_path, monkeypatch, kind_of):
    monkeypatch.setattr(bounds, "MAX_PIXELS", 48)
    Pillow.fromarray(RAMP).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.size == 48
    monkeypatch.setattr(bounds, "MAX_PIXELS", 47)
    assert kind_of(tmp_path / "a.png") == "bomb"


def test_nothing_wide(tmp_path, kind_of):
    (tmp_path / "a.png").write_bytes(_png_of(0, 4))
    assert kind_of(tmp_path / "a.png") == "zero-size"


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_constant(tmp_path, shape, kind_of):
    Pillow.fromarray(np.full(shape, 9, np.uint8)).save(tmp_path / "a.png")
    assert kind_of(tmp_path / "a.png") == "constant"


def test_one_colour_is_constant_too(tmp_path, kind_of):
    Pillow.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "a.png")
    assert kind_of(tmp_path / "a.png") == "constant"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers(tmp_path, bad, kind_of):
    Pillow.fromarray(np.array([[1, bad]], np.float32)).save(tmp_path / "a.tif")
    assert kind_of(tmp_path / "a.tif") == "nan"


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_bytes_changed_anywhere_raise_nothing_else(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Pillow.fromarray(RAMP).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(100):
        spoiled = bytearray(whole)
        for at in rng.integers(0, len(whole), 5):
            spoiled[at] = rng.integers(256)
        path.write_bytes(spoiled)
        try:
            read_image(path)
        except ImageError:
            continue
