"""PNG, JPEG and TIFF through Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile, ImageOps, UnidentifiedImageError

from overread.data.pixels import Header, Image, check_size, check_values, cut_short
from overread.errors import ImageError

_ORIENTATION = 0x0112
_TRANSPOSED = (5, 6, 7, 8)
_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_RAW_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def read_header(path: Path) -> Header:
    """Read size, pages and kind of pixels, without decoding them."""
    with _open(path) as picture:
        return _header(path.name, picture)


def open_file(path: Path, *, brief: bool = False) -> PictureFile:
    """Open a picture; each page of a TIFF is a frame."""
    return PictureFile(path)


class PictureFile:
    """A picture file. Each frame opens it anew, because orientation and closing are by page."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = read_header(path)

    def frame(self, index: int) -> Image:
        """Decode one page, upright as EXIF asks, with alpha laid on black."""
        with _open(self._path) as picture:
            if index:
                picture.seek(index)
            check_size(self._path.name, picture.height, picture.width)
            inverted = picture.mode in _RAW_MODES and _white_is_zero(picture)
            _load(picture, self._path)
            upright = ImageOps.exif_transpose(picture)
            raw = upright.mode in _RAW_MODES
            pixels = np.array(upright, dtype=np.float32) if raw else np.array(_on_black(upright))
        check_values(self._path.name, pixels, index)
        return Image(
            pixels=pixels,
            scale="raw" if raw else "display",
            window=None,
            header=self.header,
            frame=index,
            inverted=inverted,
        )


@contextmanager
def _open(path: Path) -> Iterator[Pillow.Image]:
    """Open with Pillow by file object: by name it maps turned TIFFs into memory with their sides swapped."""
    with path.open("rb") as file, _identify(file, path) as picture:
        yield picture


def _identify(file: IO[bytes], path: Path) -> Pillow.Image:
    try:
        return Pillow.open(file, formats=("PNG", "JPEG", "TIFF"))
    except Pillow.DecompressionBombError as error:
        raise ImageError(
            f"{path.name} is refused as a decompression bomb: {error}. Cut or shrink it first.", kind="bomb"
        ) from None
    except UnidentifiedImageError:
        _check_png_size(file, path)
        raise cut_short(path.name, "it begins as a picture and its header cannot be read") from None


def _check_png_size(file: IO[bytes], path: Path) -> None:
    """Refuse a PNG without rows or columns by that name; Pillow takes it for no picture."""
    file.seek(0)
    head = file.read(24)
    if len(head) == 24 and head[12:16] == b"IHDR":
        check_size(path.name, int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big"))


def _load(picture: Pillow.Image, path: Path) -> None:
    """Decode the page; failures of a file that lacks its end are told from other damage."""
    try:
        with _strict():
            picture.load()
    except Exception as error:
        if picture.format in ("PNG", "JPEG", "MPO") and not _has_end(path):
            raise cut_short(path.name, "its end mark is not there") from error
        raise


@contextmanager
def _strict() -> Iterator[None]:
    """Let Pillow refuse what is cut off: WeasyPrint, once imported, makes it fill the rest with grey, everywhere."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _has_end(path: Path) -> bool:
    """True if PNG's IEND or JPEG's end-of-image mark is in the last bytes."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        tail = file.read()
    return b"IEND" in tail or b"\xff\xd9" in tail


def _header(name: str, picture: Pillow.Image) -> Header:
    rows, columns = picture.height, picture.width
    check_size(name, rows, columns)
    if _lies_on_its_side(picture):
        rows, columns = columns, rows
    formats = {"PNG": "png", "TIFF": "tiff"}
    is_tiff = picture.format == "TIFF"
    return Header(
        format=formats.get(str(picture.format), "jpeg"),
        n_frames=int(getattr(picture, "n_frames", 1)) if is_tiff else 1,
        rows=rows,
        columns=columns,
        scale="raw" if picture.mode in _RAW_MODES else "display",
        tags={"photometric": picture.mode},
    )


def _lies_on_its_side(picture: Pillow.Image) -> bool:
    """True if EXIF swaps rows and columns. Pillow turns the size of a TIFF by itself."""
    if picture.format == "TIFF":
        return False
    if picture.format == "PNG":
        # getexif would decode the pixels, to find what may stand behind them
        exif = Pillow.Exif()
        exif.load(picture.info.get("exif", b""))
    else:
        exif = picture.getexif()
    return exif.get(_ORIENTATION) in _TRANSPOSED


def _white_is_zero(picture: Pillow.Image) -> bool:
    """True for a TIFF whose zero is white; Pillow turns such pages over by itself only in 1 and 8 bits."""
    tags = getattr(picture, "tag_v2", {})
    return picture.mode != "F" and tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO


def _on_black(picture: Pillow.Image) -> Pillow.Image:
    """The picture in 8 bits, grey (L) or colour (RGB); what is transparent becomes black."""
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        black = Pillow.new("RGBA", clear.size, (0, 0, 0, 255))
        picture = Pillow.alpha_composite(black, clear)
    return picture.convert("L" if grey else "RGB")
