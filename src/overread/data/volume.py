"""NIfTI through nibabel's headers: each axial slice of a volume is a frame."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import orientations
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from overread.data.pixels import Header, Image, check_size, check_values
from overread.data.sniff import gunzip_head
from overread.errors import ImageError

MAX_VOXELS = 512 * 1024 * 1024
"""Voxels that one volume may have: all are held in memory, in the type that they are stored in."""

_HEADER_BYTES = 544
_MAX_OFFSET = 64 * 1024 * 1024


def read_header(path: Path) -> Header:
    """Read size, spacing and orientation, without unpacking voxels."""
    return _describe(path.name, _fields(path))


def open_file(path: Path, *, brief: bool = False) -> NiftiFile:
    """Open a volume; its voxels are unpacked once, when the first frame is asked for."""
    return NiftiFile(path)


class NiftiFile:
    """An open volume, turned so that slices look as on a radiologist's screen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fields = _fields(path)
        self._voxels: NDArray[Any] | None = None
        self.header = _describe(path.name, self._fields)

    def frame(self, index: int) -> Image:
        """One axial slice, counted from the feet: anterior is up, the patient's right at the image's left."""
        if self._voxels is None:
            stored = _stored_voxels(self._path, self._fields)
            self._voxels = orientations.apply_orientation(stored, _turn(self._fields))
        pixels = np.ascontiguousarray(self._voxels[:, :, index].T, dtype=np.float32)
        slope, intercept = self._fields.get_slope_inter()
        if slope is not None and (slope, intercept) != (1, 0):
            pixels = pixels * np.float32(slope) + np.float32(intercept)
        check_values(self._path.name, pixels, index)
        return Image(pixels=pixels, scale="raw", window=None, header=self.header, frame=index)


def _fields(path: Path) -> Any:
    """Parse the header, once its sizes are known to be harmless."""
    with path.open("rb") as file:
        head = file.read(4 * _HEADER_BYTES)
    if head.startswith(b"\x1f\x8b"):
        head = gunzip_head(head, _HEADER_BYTES)
    kind = Nifti2Header if head[4:8] == b"n+2\x00" else Nifti1Header
    fields = kind(head[: kind.sizeof_hdr], check=False)
    n_axes = int(fields["dim"][0])
    sizes = [int(size) for size in fields["dim"][1 : 1 + max(0, n_axes)]]
    _check_sizes(path.name, sizes)
    if not 0 <= float(fields["vox_offset"]) <= _MAX_OFFSET:
        raise ValueError(f"its voxels begin at byte {fields['vox_offset']}")
    if fields.get_data_dtype().kind not in "uif":
        raise ValueError(f"it holds {fields.get_data_dtype()} values; expected plain numbers")
    return fields


def _check_sizes(name: str, sizes: list[int]) -> None:
    """Refuse empty axes, bombs, and what is not one volume."""
    found = " x ".join(map(str, sizes)) or "no axes"
    if not 1 <= len(sizes) <= 7 or any(size < 1 for size in sizes):
        raise ImageError(f"{name} has no voxels: its header says {found}. Export it again.", kind="zero-size")
    if math.prod(sizes) > MAX_VOXELS:
        raise ImageError(
            f"{name} says that it has {found} voxels; more than {MAX_VOXELS:,} are refused as a "
            "decompression bomb. Cut it first.",
            kind="bomb",
        )
    if len(sizes) < 2 or any(size != 1 for size in sizes[3:]):
        raise ImageError(
            f"{name} has {len(sizes)} axes ({found}): overread reads one slice (2 axes) or one volume (3). "
            "Save each volume as its own file.",
            kind="not-an-image",
        )


def _shape(fields: Any) -> tuple[int, int, int]:
    columns, rows, *slices = fields.get_data_shape()
    return columns, rows, slices[0] if slices else 1


def _stored_voxels(path: Path, fields: Any) -> NDArray[Any]:
    """(x, y, z) values as stored, before the header's slope. Packed or not goes by content, not by name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    shape, dtype = _shape(fields), fields.get_data_dtype()
    n_bytes = math.prod(shape) * dtype.itemsize
    with gzip.open(path) if packed else path.open("rb") as file:
        file.seek(int(fields["vox_offset"]))
        data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError(f"{len(data)} of {n_bytes} bytes of voxels are there")
    return np.frombuffer(data, dtype).reshape(shape, order="F")


def _turn(fields: Any) -> NDArray[Any]:
    """The flips and swaps that bring the axes nearest to left, posterior, superior."""
    wanted = orientations.axcodes2ornt(("L", "P", "S"))
    turn: NDArray[Any] = orientations.ornt_transform(orientations.io_orientation(fields.get_best_affine()), wanted)
    return turn


def _describe(name: str, fields: Any) -> Header:
    spacing = [abs(float(size)) for size in fields.get_zooms()[:3]]
    spacing += [1.0] * (3 - len(spacing))
    sizes, steps = [0, 0, 0], [0.0, 0.0, 0.0]
    for size, step, (target, _) in zip(_shape(fields), spacing, _turn(fields), strict=True):
        sizes[int(target)], steps[int(target)] = size, step
    check_size(name, sizes[1], sizes[0])
    tags = {"spacing_mm": f"{steps[1]:.3f}x{steps[0]:.3f}", "thickness_mm": f"{steps[2]:g}"}
    return Header(format="nifti", n_frames=sizes[2], rows=sizes[1], columns=sizes[0], scale="raw", tags=tags)
