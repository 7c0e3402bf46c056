"""A frame's values and its heatmap, as a browser takes them."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.data.image import Image, read_image
from overread.data.window import own_brightness
from overread.serve.model import ServedModel, unpack_maps
from overread.serve.store import Store
from overread.serve.tables import Answer, Instance

AT_ONCE = threading.BoundedSemaphore(4)
"""frames that are decoded for browsers at one time: each may take a gigabyte"""
_SPACING = re.compile(r"(\d+\.\d+)x(\d+\.\d+)")
_LONGEST_PIXEL = 50
"""times as high as wide, or as wide as high"""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Values of one frame: value = stored * slope + intercept."""

    content: bytes
    """rows x columns (x 3), int16 little-endian or uint8"""
    headers: dict[str, str]


def frame_pixels(store: Store, image: Instance, frame: int) -> Pixels:
    """The values of a frame, so that a browser can put any window on them. Raises ImageError."""
    with AT_ONCE:
        return _pixels(read_image(store.files.path_of(image.sha256), frame=frame))


def _pixels(found: Image) -> Pixels:
    bent = found.lut is not None or found.window_shape == "sigmoid"
    if found.scale == "display" or bent:
        stored: NDArray[np.uint8] | NDArray[np.int16] = np.ascontiguousarray(own_brightness(found))
        slope, intercept, window, scale = 1.0, 0.0, "127.5/255", "display"
    else:
        stored, slope, intercept = _in_16_bits(found.pixels)
        window, scale = _window(found), found.scale
    inverted = found.inverted and scale != "display"
    headers = {
        "X-Rows": stored.shape[0],
        "X-Columns": stored.shape[1],
        "X-Channels": stored.shape[2] if stored.ndim == 3 else 1,
        "X-Aspect": f"{_aspect(found):.6g}",
        "X-Type": str(stored.dtype),
        "X-Scale": scale,
        "X-Slope": f"{slope:.9g}",
        "X-Intercept": f"{intercept:.9g}",
        "X-Window": window,
        "X-Inverted": int(inverted),
        "X-Toward": found.header.tags.get("toward", ""),
    }
    return Pixels(content=stored.tobytes(), headers={name: str(value) for name, value in headers.items()})


def frame_heat(model: ServedModel, image: Instance, answer: Answer) -> dict[str, object]:
    """For each class how much each part of the frame speaks for it; nothing where heatmaps are withheld."""
    why = model.why_no_heat or ("" if answer.maps else "This answer has no heatmap.")
    if not why and answer.model != model.sha256:
        why = "This answer is another model's: its heatmap cannot be drawn."
    maps = None if why else unpack_maps(answer.maps, answer.maps_shape)
    if maps is None:
        return {"shown": False, "why": why, "rows": 0, "columns": 0, "maps": {}, "place": None}
    heats = {label: model.heat(maps, label, rows=image.rows, columns=image.columns) for label in model.card.classes}
    first = next(iter(heats.values()))
    return {
        "shown": True,
        "why": "",
        "rows": first.rows,
        "columns": first.columns,
        "place": {"left": 0.0, "top": 0.0, "width": 1.0, "height": 1.0},
        "maps": {label: np.round(heat.values.astype(float), 4).tolist() for label, heat in heats.items()},
    }


def _in_16_bits(values: NDArray[np.float32]) -> tuple[NDArray[np.int16], float, float]:
    """Values (rows, columns) as int16, and the slope and intercept that bring them back to 1/65535 of the range."""
    low, high = float(values.min()), float(values.max())
    if low >= -32768 and high <= 32767 and bool((values == np.rint(values)).all()):
        return values.astype("<i2"), 1.0, 0.0
    slope = (high - low) / 65535 or 1.0
    intercept = low + 32768 * slope
    stored = np.clip(np.rint((values.astype(np.float64) - intercept) / slope), -32768, 32767)
    return stored.astype("<i2"), slope, intercept


def _window(image: Image) -> str:
    if image.window is not None:
        return f"{image.window[0]:.9g}/{image.window[1]:.9g}"
    low, high = float(image.pixels.min()), float(image.pixels.max())
    return f"{(low + high) / 2:.9g}/{high - low:.9g}"


def _aspect(image: Image) -> float:
    """How much higher than wide a pixel is; 1 where the file does not say, or says what no image has."""
    said = _SPACING.fullmatch(image.header.tags.get("spacing_mm", ""))
    high, wide = (float(said[1]), float(said[2])) if said else (1.0, 1.0)
    return high / wide if wide <= _LONGEST_PIXEL * high and 0 < high <= _LONGEST_PIXEL * wide else 1.0
