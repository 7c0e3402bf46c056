"""What is let in: which formats, and how large, by what a file says of itself before anything is decoded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from overread.data.dicom import load
from overread.data.guard import guarded
from overread.data.image import read_header
from overread.data.pixels import Header
from overread.data.sniff import Door, sniff
from overread.errors import ImageError, ServiceError
from overread.serve.codes import MANUFACTURER
from overread.settings import between, setting

DOOR = Door(
    formats=("dicom", "png", "jpeg", "tiff", "nifti"),
    expected="Send DICOM, PNG, JPEG, TIFF or NIfTI, or a zip of these (no zip within a zip).",
)
OWN_RESULT = "own-result"
"""the kind of fault of what came back"""


@dataclass(frozen=True, kw_only=True)
class IntakeSettings:
    """What is let in. Flags are made of these."""

    max_file_mb: int = setting(512, "largest file that is taken, in megabytes")
    max_frames: int = setting(2000, "most frames (or slices) that one file may hold")
    max_megapixels: int = setting(64, "most pixels of one frame, in millions")
    max_megavoxels: int = setting(
        256, "most voxels of one volume (NIfTI), in millions: all of them are held in memory"
    )
    keep_patient_ids: bool = setting(
        False, "keep patients' IDs as they come, and not only hashed with the site's key"
    )

    def __post_init__(self) -> None:
        between("max-file-mb", self.max_file_mb, 1, 65536)
        between("max-frames", self.max_frames, 1, 100_000)
        between("max-megapixels", self.max_megapixels, 1, 134)
        between("max-megavoxels", self.max_megavoxels, 1, 536)


def read_allowed(path: Path, settings: IntakeSettings) -> Header:
    """What a file says of itself. Raises ImageError or ServiceError where it is not let in."""
    n_bytes = path.stat().st_size
    if n_bytes > settings.max_file_mb * 1_000_000:
        raise ServiceError(
            f"{path.name} has {n_bytes:,} bytes; at most {settings.max_file_mb} MB are taken.",
            kind="too-large",
            status=413,
        )
    try:
        header = read_header(path, door=DOOR)
    except ImageError as fault:
        if fault.kind == "not-an-image" and _is_own_report(path):
            raise _own_result(path) from fault
        raise
    if header.tags.get("manufacturer") == MANUFACTURER:
        raise _own_result(path)
    if header.n_frames > settings.max_frames:
        raise ServiceError(
            f"{path.name} has {header.n_frames} frames; at most {settings.max_frames} are taken.",
            kind="too-many-frames",
            status=413,
        )
    if header.rows * header.columns > settings.max_megapixels * 1_000_000:
        raise ServiceError(
            f"{path.name} has frames of {header.columns} x {header.rows} pixels; at most "
            f"{settings.max_megapixels} million are taken.",
            kind="too-large",
            status=413,
        )
    n_voxels = header.rows * header.columns * header.n_frames
    if header.format == "nifti" and n_voxels > settings.max_megavoxels * 1_000_000:
        raise ServiceError(
            f"{path.name} has {n_voxels:,} voxels; at most {settings.max_megavoxels} million are taken. Cut it.",
            kind="too-large",
            status=413,
        )
    return header


def _is_own_report(path: Path) -> bool:
    """Whether what holds no image is a report that overread made."""
    with suppress(ImageError), guarded(path):
        if sniff(path) != "dicom":
            return False
        return str(load(path, pixels=False, specific_tags=["Manufacturer"]).get("Manufacturer", "")) == MANUFACTURER
    return False


def _own_result(path: Path) -> ImageError:
    return ImageError(
        f"{path.name} is a result that overread made, and no image to be read. Leave it out.", kind=OWN_RESULT
    )
