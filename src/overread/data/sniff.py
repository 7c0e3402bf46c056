"""What a file is, told by its first bytes and never by its name."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from overread.data.guard import guarded
from overread.data.zipped import Zipped
from overread.errors import ImageError

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
}
_HEAD_BYTES = 1024
_CONTENTS_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Door:
    """What is taken at one place, and the sentence for what is not."""

    formats: tuple[str, ...]
    expected: str


ANY = Door(
    formats=("dicom", "png", "jpeg", "tiff", "nifti", "npz"),
    expected="Expected DICOM, PNG, JPEG, TIFF, NIfTI or NPZ.",
)


def sniff(path: str | Path, door: Door = ANY) -> str:
    """The format of a file: "dicom", "png", "jpeg", "tiff", "nifti" or "npz".

    Raises ImageError (missing, empty, not-an-image, unreadable, not-taken).
    """
    path = Path(path)
    with guarded(path):
        if path.is_dir():
            raise ImageError(f"{path.name} is a folder, not an image. Name a file in it.", kind="not-an-image")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path.name} is a device, not an image. Name a file.", kind="not-an-image")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not head:
            raise ImageError(f"{path.name} is empty (0 bytes). Copy it again from its source.", kind="empty")
        found = _format(head, path)
    if found is None:
        raise ImageError(f"{path.name} is not an image: it {_describe(head)}. {door.expected}", kind="not-an-image")
    if found not in door.formats:
        words = f"{path.name} is {found.upper()}, which is not taken here. {door.expected}"
        raise ImageError(words, kind="not-taken")
    return found


def _format(head: bytes, path: Path) -> str | None:
    # first: a DICOM file may carry a TIFF header in its preamble (PS3.10 7.1)
    if looks_like_dicom(head):
        return "dicom"
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if looks_like_nifti(head):
        return "nifti"
    if head.startswith(b"\x1f\x8b"):
        return "nifti" if looks_like_nifti(gunzip_head(head)) else None
    if head.startswith(b"PK\x03\x04"):
        with Zipped(path, most_bytes=_CONTENTS_BYTES) as archive:
            return "npz" if any(name.endswith(".npy") for name in archive.namelist()) else None
    return None


def looks_like_dicom(head: bytes) -> bool:
    """True for the DICOM prefix at byte 128, and for a data set that starts without a preamble.

    Old files start with their first element, of group 0002 or 0008 (PS3.10 7.1 asks for the preamble).
    """
    if head[128:132] == b"DICM":
        return True
    little = re.match(rb"[\x02\x08]\x00[\x00-\x20]\x00", head, re.DOTALL)
    big = re.match(rb"\x00\x08\x00[\x00-\x20][A-Z]{2}", head, re.DOTALL)
    if little is None:
        return big is not None
    explicit = re.match(rb"[A-Z]{2}", head[4:6]) is not None
    return explicit or 0 < int.from_bytes(head[4:8], "little") < 128


def looks_like_nifti(head: bytes) -> bool:
    """True for a NIfTI-1 or NIfTI-2 header that says that its data lie in the same file."""
    return (len(head) >= 348 and head[344:348] == b"n+1\x00") or head[4:8] == b"n+2\x00"


def gunzip_head(packed: bytes, size: int = _HEAD_BYTES) -> bytes:
    """The first `size` bytes that gzip data hold, as far as they are there."""
    return zlib.decompressobj(wbits=31).decompress(packed, size)


def _describe(head: bytes) -> str:
    """What an unknown file is, in a few words."""
    known = {b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WebP", b"%PDF": "PDF", b"\x1f\x8b": "gzip", b"PK": "ZIP"}
    for magic, name in known.items():
        if head.startswith(magic):
            return f"is a {name} file"
    if head[344:348] == b"ni1\x00":
        return "is the header half of a NIfTI pair (.hdr and .img; join them into one .nii)"
    if re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]*", head):
        return "holds text"
    return f"begins with the bytes {head[:8].hex(' ')}"
