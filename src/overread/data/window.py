"""From stored values to what a network sees: window, fit, resize."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.data.pixels import Header, Image
from overread.data.placing import place
from overread.errors import ImageError
from overread.settings import CT_WINDOWS, ImageSettings

Bytes = NDArray[np.uint8]

NEEDS_UNITS = "needs Hounsfield units"
"""in the words for an image that has none; doors for readers know them by it"""
_REGION_WINDOWS = {"head": "brain,subdural,bone", "chest": "lung,mediastinum,bone"}
_OTHER_WINDOWS = "abdomen,lung,bone"
_HEAD_WORDS = ("HEAD", "BRAIN", "SKULL", "ORBIT", "SINUS", "FACE", "IAC")
_CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "HEART", "CARDIAC")


def prepare(image: Image, settings: ImageSettings) -> Bytes:
    """Turn an image into the square that a network sees: (size_px, size_px, 3) uint8.

    Values become 8 bits after the window and not before it: a window of 80 Hounsfield units keeps all its
    steps. Resizing is bilinear with an antialiasing filter, as torchvision's. One window fills all three
    channels; three windows take one each. Raises ImageError (no-hounsfield) for a CT window on a picture that
    has lost its values.
    """
    if image.scale == "display":
        _check_no_window(image, settings)
        planes = [image.pixels]
    elif windows := settings.windows_hu():
        _check_hounsfield(image, settings)
        # dense is white in a named window; MONOCHROME1 changes how CT is shown, not what the units mean
        flip = image.inverted and image.scale != "hu"
        planes = [_linear(image.pixels, c - w / 2, c + w / 2, inverted=flip) for c, w in windows]
    else:
        planes = [own_brightness(image)]
    squares = [_fit(plane, settings.size_px, settings.fit) for plane in planes]
    if squares[0].ndim == 3:
        return squares[0]
    return np.stack(squares if len(squares) == 3 else squares * 3, axis=-1)


def own_brightness(image: Image) -> Bytes:
    """The image as its file asks for it to be shown: (rows, columns) uint8, or with 3 channels.

    The file's look-up table, else its window (PS3.3 C.11.2.1), else the range of its values.
    """
    pixels = image.pixels
    if image.scale == "display":
        return pixels.astype(np.uint8, copy=False)
    if image.lut is not None:
        return _linear(image.lut(pixels), 0.0, 1.0, inverted=image.inverted)
    if image.window is None:
        return _linear(pixels, float(pixels.min()), float(pixels.max()), inverted=image.inverted)
    center, width = image.window
    if image.window_shape == "sigmoid":
        # beyond 20 the curve is flat; the bound keeps exp from overflowing
        bent = 1 / (1 + np.exp(np.clip(-4 * (pixels - center) / width, -20, 20)))
        return _linear(bent, 0.0, 1.0, inverted=image.inverted)
    if image.window_shape == "linear":
        center, width = center - 0.5, width - 1
    return _linear(pixels, center - width / 2, center + width / 2, inverted=image.inverted)


def resolve_window(settings: ImageSettings, headers: Iterable[Header]) -> ImageSettings:
    """Replace the window `auto` by what suits the images: CT windows by body part, or each file's own.

    Named windows are chosen only where every image has Hounsfield units; the body part only where all files
    that name one agree.
    """
    if settings.window != "auto":
        return settings
    headers = list(headers)
    if not headers or any(header.scale != "hu" for header in headers):
        return dataclasses.replace(settings, window="header")
    regions = {_region(part) for header in headers if (part := header.tags.get("body_part"))}
    region = regions.pop() if len(regions) == 1 else "other"
    return dataclasses.replace(settings, window=_REGION_WINDOWS.get(region, _OTHER_WINDOWS))


def _region(body_part: str) -> str:
    words = body_part.upper()
    # "HEADNECK" and "CHEST_ABDOMEN" need windows for both parts
    if "NECK" in words or "ABDOMEN" in words:
        return "other"
    if any(word in words for word in _HEAD_WORDS):
        return "head"
    return "chest" if any(word in words for word in _CHEST_WORDS) else "other"


def _linear(values: NDArray[Any], low: float, high: float, *, inverted: bool) -> Bytes:
    """Map low..high to 0..255 (255..0 if inverted), rounded; values beyond go to the ends."""
    if high <= low:
        # a window of width 1 is a threshold (PS3.3 C.11.2.1.2.1)
        return np.where((values > low) != inverted, 255, 0).astype(np.uint8)
    scale = np.float32(255 / (high - low))
    scaled = np.subtract(values, np.float32(low), dtype=np.float32)
    scaled *= scale
    if inverted:
        np.subtract(np.float32(255), scaled, out=scaled)
    scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    plane: Bytes = scaled.astype(np.uint8)
    return plane


def _fit(plane: Bytes, side: int, fit: str) -> Bytes:
    """Resize to a square of `side`: stretched, or kept in shape on black."""
    rows, columns = plane.shape[:2]
    inner = place(rows, columns, side_px=side, fit=fit)
    picture = Pillow.fromarray(np.ascontiguousarray(plane))
    small = np.array(picture.resize((inner.width, inner.height), Pillow.Resampling.BILINEAR))
    if (inner.width, inner.height) == (side, side):
        return small
    square = np.zeros((side, side, *plane.shape[2:]), np.uint8)
    square[inner.top : inner.top + inner.height, inner.left : inner.left + inner.width] = small
    return square


def _check_no_window(image: Image, settings: ImageSettings) -> None:
    if settings.windows_hu():
        raise ImageError(
            f"The window {settings.window} {NEEDS_UNITS}, and this {image.header.format} file holds a picture whose "
            "values were windowed already. Give the DICOM file, or train with --window header.",
            kind="no-hounsfield",
        )


def _check_hounsfield(image: Image, settings: ImageSettings) -> None:
    """Refuse a CT window by name on DICOM that says it is no CT; other formats cannot say."""
    named = any(name.strip() in CT_WINDOWS for name in settings.window.split(","))
    if named and image.scale == "raw" and image.header.format == "dicom":
        modality = image.header.tags.get("modality", "not stated")
        raise ImageError(
            f"The window {settings.window} {NEEDS_UNITS}, and this DICOM file has none (modality "
            f"{modality}). Train with --window header, or with numbers such as --window 600/1200.",
            kind="no-hounsfield",
        )
