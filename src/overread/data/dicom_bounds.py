"""Data sets are read within bounds: an item of a sequence takes 8 bytes of a file, and a kilobyte of memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian

from overread.errors import ImageError

_MOST_READS = 400_000
"""pydicom reads once for each item of a sequence, and up to three times for an element"""
_MOST_SEQUENCE_BYTES = 4_000_000
"""of a sequence of told length, which pydicom takes apart when it is asked for"""
_BYTES_A_READ, _BYTES_A_SEQUENCE_BYTE = 2048, 64
"""files with many frames have large headers, and larger pixels"""


def read_bounded(path: Path, *, inflated: bytes | None = None, **more: Any) -> Dataset:
    """Read a data set as `pydicom.dcmread` does; `more` goes to it. Raises ImageError where it has too many parts.

    inflated: the whole file with its data set inflated, where that was deflated.
    """
    size = path.stat().st_size if inflated is None else len(inflated)
    with _Counted(path, inflated, size) as file:
        dataset = dcmread(file, force=True, **more)
    most = _MOST_SEQUENCE_BYTES + size // _BYTES_A_SEQUENCE_BYTE
    for element in raw_elements(dataset):
        if len(element.value or b"") > most and is_sequence(element):
            raise _too_many(path)
    if inflated is not None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset


def raw_elements(dataset: Dataset) -> Iterator[RawDataElement]:
    """The elements of a data set that have not been taken apart yet."""
    for tag in dataset.keys():  # noqa: SIM118 (a data set's own iteration would take sequences apart)
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            yield element


class _Counted(io.BufferedReader):
    """A file that may be read from so many times."""

    def __init__(self, path: Path, content: bytes | None, size: int) -> None:
        super().__init__(io.FileIO(str(path)) if content is None else _Named(content, path))
        self._path, self._left = path, _MOST_READS + size // _BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise _too_many(self._path)
        return super().read(size)


class _Named(io.BytesIO):
    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(content)
        self.name = str(path)


def is_sequence(element: RawDataElement) -> bool:
    """Whether an element holds items, by its own word or by the dictionary's."""
    if element.VR == "SQ":
        return True
    try:
        return element.VR in (None, "UN") and dictionary_VR(element.tag) == "SQ"
    except KeyError:
        return False


def _too_many(path: Path) -> ImageError:
    return ImageError(
        f"{path.name} has more attributes and items than an image needs; it is refused as a decompression bomb. "
        "Export it again.",
        kind="bomb",
    )
