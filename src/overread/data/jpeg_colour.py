"""JPEG whose stream itself says what its colours are: Pillow listens to it, and pydicom would convert them again."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from overread.data.codestream import START_OF_FRAME, frame_stream, segments

_APP14 = 0xEE
_ADOBE = b"Adobe"
_LEAST_ADOBE = 12
"""bytes of Adobe's marker without its length; a shorter one says nothing of colours"""


def rgb_of(dataset: Dataset, path: Path, index: int) -> NDArray[np.uint8] | None:
    """A frame as (rows, columns, 3) uint8, where its stream says what its colours are; None where the header has to.

    Raises ValueError where the stream holds another size than the header says.
    """
    is_jpeg = UID(dataset.file_meta.TransferSyntaxUID) in (JPEGBaseline8Bit, JPEGExtended12Bit)
    if not is_jpeg or dataset.SamplesPerPixel != 3:
        return None
    stream = frame_stream(dataset, path, index)
    if not names_its_colours(stream):
        return None
    with Pillow.open(io.BytesIO(stream), formats=("JPEG",)) as picture:
        found = np.asarray(picture)
    if found.shape != (dataset.Rows, dataset.Columns, 3):
        raise ValueError(f"its stream holds the shape {found.shape}")
    return found


def names_its_colours(stream: bytes) -> bool:
    """Whether a JPEG of three components holds Adobe's marker, or has components that are named R, G and B.

    JFIF's marker says YCbCr, which pydicom knows.
    """
    for mark, at in segments(stream):
        length = int.from_bytes(stream[at : at + 2], "big")
        if mark == _APP14 and stream[at + 2 :].startswith(_ADOBE) and length - 2 >= _LEAST_ADOBE:
            return True
        if mark in START_OF_FRAME:  # ITU-T T.81 B.2.2: after 8 bytes three for each component, its name the first
            names = stream[at + 8 : at + 17 : 3]
            if stream[at + 7 : at + 8] == b"\x03" and names.upper() == b"RGB":
                return True
    return False
