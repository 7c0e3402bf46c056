"""What every reader gives back, and the bounds that every image must hold to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from overread.errors import ImageError

MAX_PIXELS = 128 * 1024 * 1024
"""Pixels that one frame may have; more is refused before anything is decoded."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of itself, read without decoding pixels; None where it does not say.

    `scale` is "hu" for Hounsfield units (CT), "raw" for stored values without a known unit (16-bit
    pictures, NIfTI, DICOM of other modalities), "display" for a picture that is ready to be looked at.
    `tags` holds technical facts, and sex, age and month; never one that names a person or a place. `identifying`
    holds the keywords, never the values, of what in the file does. Who is shown stays out of the printed form.
    """

    format: str
    n_frames: int
    rows: int
    columns: int
    scale: str
    patient: str | None = field(default=None, repr=False)
    study: str | None = field(default=None, repr=False)
    series: str | None = field(default=None, repr=False)
    instance: str | None = field(default=None, repr=False)
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    identifying: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class Lut:
    """A look-up table. `first` is the value that the first entry stands for; `entries`: (n,) float32."""

    first: int
    entries: NDArray[np.float32]

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The entry of each value; values beyond either end take that end's (PS3.3 C.11.2.1.1)."""
        index = np.rint(np.clip(values, self.first, self.first + len(self.entries) - 1)).astype(np.int32)
        found: NDArray[np.float32] = self.entries[index - self.first]
        return found


@dataclass(frozen=True, kw_only=True)
class Image:
    """One frame, decoded.

    pixels: (rows, columns) float32 for "hu" and "raw"; (rows, columns) or (rows, columns, 3) uint8 for
    "display". `window` is the file's own (centre, width), in the unit of the pixels; `window_shape` says how
    it bends ("linear", "linear-exact" or "sigmoid"). `lut`, where the file has one, goes before the window
    and turns pixels into brightness from 0 to 1. `inverted` says that the lowest value is white
    (MONOCHROME1).
    """

    pixels: NDArray[Any]
    scale: str
    window: tuple[float, float] | None
    header: Header
    frame: int
    window_shape: str = "linear"
    lut: Lut | None = None
    inverted: bool = False


class OpenFile(Protocol):
    """A file whose frames can be asked for one by one, in any order."""

    header: Header

    def frame(self, index: int) -> Image:
        """Decode one frame, counted from 0."""


class Reader(Protocol):
    """What the module of a file format offers."""

    def read_header(self, path: Path) -> Header:
        """Read what the file says of itself, without decoding pixels."""

    def open_file(self, path: Path, *, brief: bool = False) -> OpenFile:
        """Open the file for decoding; `brief`: its header may leave out what decoding does not need."""


def cut_short(name: str, found: str) -> ImageError:
    """The error for a file that ends too early, or is damaged as if it did."""
    return ImageError(f"{name} is cut short or damaged: {found}. Copy it again from its source.", kind="truncated")


def check_size(name: str, rows: int, columns: int) -> None:
    """Refuse a frame without pixels, and one with more than `MAX_PIXELS`, before decoding it."""
    if rows < 1 or columns < 1:
        raise ImageError(
            f"{name} has no pixels: its header says {columns} x {rows}. Export it again.", kind="zero-size"
        )
    if rows * columns > MAX_PIXELS:
        raise ImageError(
            f"{name} says that it has {columns} x {rows} pixels; more than {MAX_PIXELS:,} are refused as a "
            "decompression bomb. Cut or shrink it first.",
            kind="bomb",
        )


def check_frame(name: str, index: int, n_frames: int) -> None:
    """Refuse a frame that the file does not have."""
    if not 0 <= index < n_frames:
        raise ImageError(
            f"{name} has no frame {index}: it has {n_frames}, counted from 0. Ask for one of those.",
            kind="missing",
        )


def check_values(name: str, pixels: NDArray[Any], frame: int) -> None:
    """Refuse values that are not finite, and a frame in which all pixels are equal."""
    low, high = pixels.min(), pixels.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.count_nonzero(~np.isfinite(pixels)))
        raise ImageError(
            f"{name}, frame {frame}, has {bad} values that are no numbers (NaN or infinite). Mend it, or "
            "leave it out.",
            kind="nan",
        )
    if low == high or (pixels.ndim == 3 and bool((pixels == pixels[0, 0]).all())):
        raise ImageError(
            f"{name}, frame {frame}, shows nothing: all its pixels are {pixels.flat[0]:g}. Leave it out.",
            kind="constant",
        )
