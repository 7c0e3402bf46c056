"""NPZ in MedMNIST's layout: {train,val,test}_images and {train,val,test}_labels in one ZIP file."""

from __future__ import annotations

import weakref
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from overread.data.guard import guarded
from overread.data.pixels import Header, Image, check_size, check_values
from overread.errors import CohortError, ImageError

PARTS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One array of images in the archive: where it lies and its shape (n, rows, columns[, channels])."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize


def read_header(path: Path) -> Header:
    """Read the shapes of the images, without unpacking them."""
    with zipfile.ZipFile(path) as archive:
        return _header(path.name, _members(path.name, archive))


def open_file(path: Path, *, brief: bool = False) -> NpzFile:
    """Open the archive; frames are counted through train, val and test in this order."""
    return NpzFile(path)


class NpzFile:
    """An open archive. Rows are unpacked one at a time, so memory stays bounded."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._open = ExitStack()
        # whoever drops the object need not close it
        weakref.finalize(self, self._open.close)
        self._archive = self._open.enter_context(zipfile.ZipFile(path))
        self._members = _members(path.name, self._archive)
        self._stream: tuple[str, IO[bytes]] | None = None
        self.header = _header(path.name, self._members)

    def frame(self, index: int) -> Image:
        """Unpack one row of the images."""
        row = index
        for member in self._members:
            if row < member.shape[0]:
                break
            row -= member.shape[0]
        pixels = self._row(member, row)
        if self.header.scale == "raw":
            pixels = pixels.astype(np.float32)
        check_values(self._name, pixels, index)
        return Image(pixels=pixels, scale=self.header.scale, window=None, header=self.header, frame=index)

    def _row(self, member: _Member, row: int) -> NDArray[Any]:
        if self._stream is None or self._stream[0] != member.name:
            self._stream = (member.name, self._open.enter_context(self._archive.open(member.name)))
        stream = self._stream[1]
        stream.seek(member.offset + row * member.row_bytes)
        data = stream.read(member.row_bytes)
        if len(data) < member.row_bytes:
            raise EOFError(f"row {row} of {member.name} is not there")
        pixels = np.frombuffer(data, member.dtype).reshape(member.shape[1:])
        return pixels[..., 0] if pixels.shape[2:] == (1,) else pixels


def npz_listing(path: str | Path) -> tuple[list[str], list[str]]:
    """The label (as text) and the split ("train", "val" or "test") of each frame, in the order of the frames.

    Raises ImageError for a file that cannot be read, CohortError where labels and images do not agree.
    """
    path = Path(path)
    labels: list[str] = []
    splits: list[str] = []
    with guarded(path), zipfile.ZipFile(path) as archive:
        members = _members(path.name, archive)
        arrays = {member.name: _labels(archive, member) for member in members}
    for member in members:
        part, values = member.name.split("_")[0], arrays[member.name]
        if values is not None and values.ndim == 2 and values.shape[1] > 1:
            raise CohortError(
                f"{path.name}: {part}_labels gives each image {values.shape[1]} labels; overread takes one "
                "label an image. Choose one column, and save it as (n, 1)."
            )
        if values is None or values.size != member.shape[0]:
            found = "none" if values is None else str(values.size)
            raise CohortError(
                f"{path.name}: {part}_images has {member.shape[0]} images and {part}_labels {found}. "
                "Download the file again."
            )
        labels += [str(value) for value in values.reshape(-1).tolist()]
        splits += [part] * member.shape[0]
    return labels, splits


def _labels(archive: zipfile.ZipFile, member: _Member) -> NDArray[Any] | None:
    name = member.name.replace("_images", "_labels")
    if name not in archive.namelist():
        return None
    with archive.open(name) as stream:
        labels: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        return labels


def _members(name: str, archive: zipfile.ZipFile) -> list[_Member]:
    """The arrays of images, in the order of `PARTS`, with their shapes checked."""
    names = set(archive.namelist())
    members = [_member(archive, f"{part}_images.npy") for part in PARTS if f"{part}_images.npy" in names]
    if not members:
        raise ImageError(
            f"{name} has no train_images, val_images or test_images. Save it in MedMNIST's layout.",
            kind="not-an-image",
        )
    for member in members:
        if not (len(member.shape) == 3 or (len(member.shape) == 4 and member.shape[3] in (1, 3))):
            raise ImageError(
                f"{name}: {member.name} has the shape {member.shape}; expected (n, rows, columns) or "
                "(n, rows, columns, 3). Volumes are not read from NPZ.",
                kind="not-an-image",
            )
        check_size(name, member.shape[1], member.shape[2])
    if len({(member.shape[1:], member.dtype) for member in members}) > 1:
        raise ImageError(
            f"{name} holds images of several sizes or types in its parts. Save them alike.", kind="unreadable"
        )
    return members


def _member(archive: zipfile.ZipFile, name: str) -> _Member:
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if fortran or dtype.hasobject or dtype.kind not in "uif":
            order = "column" if fortran else "row"
            raise ValueError(f"{name[:-4]} holds {dtype} in {order} order; expected plain numbers in row order")
        return _Member(name=name, shape=shape, dtype=dtype, offset=stream.tell())


def _header(name: str, members: list[_Member]) -> Header:
    n_frames = sum(member.shape[0] for member in members)
    if n_frames == 0:
        raise ImageError(f"{name} holds no image in any of its parts. Save it again.", kind="zero-size")
    return Header(
        format="npz",
        n_frames=n_frames,
        rows=members[0].shape[1],
        columns=members[0].shape[2],
        scale="display" if members[0].dtype == np.uint8 else "raw",
    )
