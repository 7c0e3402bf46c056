"""Bits of pixels beside their values: old files keep overlays there (PS3.3 C.9.2), in which names may be drawn."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import get_expected_length

from overread.errors import ImageError

_ALLOCATED = (8, 16, 32, 64)
_OVERLAY_GROUPS = range(0x6000, 0x6100, 2)
_BIT_POSITION, _OVERLAY_DATA = 0x0102, 0x3000


def clear_unused_bits(dataset: Dataset, *, big_endian: bool = False) -> None:
    """Clear bits of uncompressed pixels that belong to no value (PS3.5 8.1.1), and cut off what follows the last one.

    Above a signed value they repeat its sign: who reads all bits reads the same as who reads those that are stored.
    Raises ImageError where the header contradicts itself.
    """
    if "PixelData" not in dataset or _is_compressed(dataset):
        return
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    length = get_expected_length(dataset)
    dataset.PixelData = dataset.PixelData[:length] + bytes(length % 2)
    if allocated == stored:
        return
    high = int(dataset.get("HighBit", stored - 1))
    if allocated not in _ALLOCATED or not 0 < stored <= high + 1 <= allocated:
        raise ImageError(
            f"Its pixels are said to have {allocated} bits, and values {stored} of them up to bit {high}: the others "
            "cannot be cleared. Mend its header, or leave it out."
        )
    kind = f"{'>' if big_endian else '<'}{'i' if dataset.PixelRepresentation else 'u'}{allocated // 8}"
    content = bytearray(dataset.PixelData)
    values = np.frombuffer(content, kind, count=len(content) * 8 // allocated)
    values <<= allocated - 1 - high
    values >>= allocated - stored  # of signed values this repeats the sign
    values <<= high + 1 - stored
    dataset.PixelData = bytes(content)


def hides_overlay(dataset: Dataset) -> bool:
    """Whether an overlay lies in the bits of compressed pixels, where it cannot be cleared."""
    if "PixelData" not in dataset or not _is_compressed(dataset):
        return False
    for group in _OVERLAY_GROUPS:
        position = dataset.get((group, _BIT_POSITION))
        if position is not None and (position.value or (group, _OVERLAY_DATA) not in dataset):
            return True
    return False


def _is_compressed(dataset: Dataset) -> bool:
    return dataset["PixelData"].is_undefined_length  # PS3.5 A.4
