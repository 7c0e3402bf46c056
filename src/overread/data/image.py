"""One door for every image format: DICOM, PNG, JPEG, TIFF, NIfTI and NPZ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from overread.data.guard import guarded
from overread.data.npz import npz_listing
from overread.data.pixels import MAX_PIXELS, Header, Image, Reader, check_frame
from overread.data.sniff import ANY, Door, sniff
from overread.data.window import prepare, resolve_window

__all__ = [
    "MAX_PIXELS",
    "Header",
    "Image",
    "npz_listing",
    "prepare",
    "read_frames",
    "read_header",
    "read_image",
    "resolve_window",
    "sniff",
]


def read_header(path: str | Path, *, door: Door = ANY) -> Header:
    """What the file says of itself, without decoding pixels. Raises ImageError.

    door: which formats are taken, and what is said of others.
    """
    path = Path(path)
    reader = _reader(sniff(path, door))
    with guarded(path):
        return reader.read_header(path)


def read_image(path: str | Path, *, frame: int = 0) -> Image:
    """Decode one frame of a file. Raises ImageError."""
    return next(read_frames(path, [frame]))


def read_frames(path: str | Path, frames: Sequence[int] | None = None, *, brief: bool = False) -> Iterator[Image]:
    """Decode the frames of a file one at a time, in the order asked for; all of them by default.

    brief: their headers say nothing of who is shown and what made the image, which takes as long as a small image's
    pixels. The file is opened once. A frame that cannot be used raises ImageError when its turn comes, and the next
    call of `next` goes on with the frame after it.
    """
    path = Path(path)
    reader = _reader(sniff(path))
    with guarded(path):
        file = reader.open_file(path, brief=brief)

    def decode(index: int) -> Image:
        check_frame(path.name, index, file.header.n_frames)
        with guarded(path):
            return file.frame(index)

    # map, not a generator: a generator ends at its first error, and the frames after it would be lost
    return map(decode, range(file.header.n_frames) if frames is None else frames)


def _reader(format: str) -> Reader:
    """The module that reads a format; imported on first use, because its library is slow to import."""
    if format == "dicom":
        from overread.data import dicom

        return dicom
    if format == "nifti":
        from overread.data import volume

        return volume
    if format == "npz":
        from overread.data import npz

        return npz
    from overread.data import picture

    return picture
