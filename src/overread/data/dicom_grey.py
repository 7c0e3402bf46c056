"""DICOM's way from stored grey values to units and brightness (PS3.3 C.11.1, C.11.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from overread.data.dicom_header import macro, number
from overread.data.pixels import Header, Image, Lut

_SHAPES = {"LINEAR": "linear", "LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}


def grey_image(dataset: Dataset, stored: NDArray[Any], *, header: Header, frame: int) -> Image:
    """Image of one grey frame from its stored values: (rows, columns), any integer or float type."""
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    if header.scale == "display":
        pixels = 255 - stored if inverted else stored
        return Image(pixels=pixels, scale="display", window=None, header=header, frame=frame)
    values = _modality_values(dataset, stored, frame)
    padding = _padding(dataset, stored)
    if padding is not None and not padding.all():
        # black on screen, whichever end of the values black is
        inside = values[~padding]
        values[padding] = inside.max() if inverted else inside.min()
    voi = macro(dataset, frame, "FrameVOILUTSequence")
    return Image(
        pixels=values,
        scale=header.scale,
        window=_window(voi),
        header=header,
        frame=frame,
        window_shape=_SHAPES.get(str(voi.get("VOILUTFunction") or "LINEAR").upper(), "linear"),
        lut=_voi_lut(dataset, voi, values),
        inverted=inverted,
    )


def _modality_values(dataset: Dataset, stored: NDArray[Any], frame: int) -> NDArray[np.float32]:
    """Stored values through the modality LUT or the rescale: (rows, columns) float32."""
    if dataset.get("ModalityLUTSequence"):
        lut, _ = _lut(dataset, dataset.ModalityLUTSequence[0])
        return lut(stored)
    rescale = macro(dataset, frame, "PixelValueTransformationSequence")
    if not rescale.get("RescaleSlope") and not rescale.get("RescaleIntercept"):
        return stored.astype(np.float32)
    slope, intercept = number(rescale, "RescaleSlope"), number(rescale, "RescaleIntercept")
    if slope is None or intercept is None or slope == 0:
        found = (rescale.get("RescaleSlope"), rescale.get("RescaleIntercept"))
        raise ValueError(f"its rescale slope and intercept are {found}")
    values = stored.astype(np.float32)
    if slope != 1:
        values *= np.float32(slope)
    if intercept:
        values += np.float32(intercept)
    return values


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where pixels only fill the frame (PS3.3 C.7.5.1.1.2): (rows, columns) bool, or None."""
    value = number(dataset, "PixelPaddingValue")
    if value is None or stored.dtype.kind == "f":
        return None
    limit = number(dataset, "PixelPaddingRangeLimit")
    bits = 8 * stored.dtype.itemsize
    ends = [value, value if limit is None else limit]
    if stored.dtype.kind == "i":
        # written as unsigned by some scanners: 63536 means -2000
        ends = [end - 2**bits if end >= 2 ** (bits - 1) else end for end in ends]
    padding = stored == ends[0] if limit is None else (stored >= min(ends)) & (stored <= max(ends))
    return padding if padding.any() else None


def _window(voi: Dataset) -> tuple[float, float] | None:
    """The first window, if it can be used (PS3.3 C.11.2.1.2)."""
    center, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    if center is None or width is None:
        return None
    exact = str(voi.get("VOILUTFunction") or "LINEAR").upper() in ("LINEAR_EXACT", "SIGMOID")
    return (center, width) if (width > 0 if exact else width >= 1) else None


def _voi_lut(dataset: Dataset, voi: Dataset, values: NDArray[np.float32]) -> Lut | None:
    """The first VOI look-up table, its entries as brightness from 0 to 1."""
    items = voi.get("VOILUTSequence")
    if not items or not items[0].get("LUTDescriptor") or not items[0].get("LUTData"):
        return None
    lut, bits = _lut(dataset, items[0])
    first = lut.first
    if first >= 2**15 and values.min() < 0:
        # the first value is signed where the modality's output is (PS3.3 C.11.2.1.1)
        first -= 2**16
    return Lut(first=first, entries=lut.entries / np.float32(2**bits - 1))


def _lut(dataset: Dataset, item: Dataset) -> tuple[Lut, int]:
    """A look-up table as written, and the bits of its entries (PS3.3 C.11.1.1)."""
    length, first, bits = (int(value) for value in item.LUTDescriptor)
    # a length of 0 stands for 65536, which does not fit into 16 bits
    length = length or 2**16
    data: Any = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        wide = len(data) >= 2 * length
        data = np.frombuffer(data, f"{order}u2" if wide else "u1")
    entries = np.atleast_1d(np.asarray(data)).astype(np.float32)[:length]
    if len(entries) < length or not 8 <= bits <= 16:
        raise ValueError(f"a look-up table has {len(entries)} of {length} entries, in {bits} bits")
    return Lut(first=first, entries=entries), bits
