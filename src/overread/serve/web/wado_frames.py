"""DICOMweb out: single frames of an object (WADO-RS, PS3.18 10.4.1.1.6), as viewers ask for them."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from overread.data.stored import StoredFrames
from overread.errors import ServiceError
from overread.serve.web.accept import MULTIPART, OCTETS, Form, choose_frames
from overread.serve.web.api import Uid
from overread.serve.web.dicomweb import BYTES, held_objects
from overread.serve.web.frames import AT_ONCE
from overread.serve.web.multipart import in_parts

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
_MOST = 1000
Frames = Annotated[str, Path(pattern=rf"^[1-9][0-9]{{0,6}}(,[1-9][0-9]{{0,6}}){{0,{_MOST - 1}}}$")]
"""numbers, counted from 1, with commas between"""
_KINDS = {
    **dict.fromkeys(JPEGTransferSyntaxes, "image/jpeg"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "image/jls"),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000), "image/jp2"),
    **dict.fromkeys((JPEG2000MCLossless, JPEG2000MC), "image/jpx"),
    **dict.fromkeys((HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), "image/jphc"),
    RLELossless: "image/dicom-rle",
}
"""what a compressed frame is called (PS3.18 8.7.3.3)"""
_FOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys((MULTIPART, OCTETS, *dict.fromkeys(_KINDS.values())), BYTES)}
}


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", response_class=Response, responses=_FOUND
)
def retrieve_frames(request: Request, study: Uid, series: Uid, instance: Uid, frames: Frames) -> Response:
    """Frames of one object, uncompressed, or as they were compressed where that is asked for.

    frames: numbers, counted from 1, with commas between. One alone need not be in parts.
    """
    (held,) = held_objects(request, study, series, instance)
    stored = StoredFrames(held.path)
    wanted = [int(number) - 1 for number in frames.split(",")]
    if max(wanted) >= stored.n_frames:
        words = f"The object has frames 1 to {stored.n_frames}."
        raise ServiceError(words, kind="not-found", status=404)
    form = choose_frames(request, _forms(stored), is_one=len(wanted) == 1)
    contents = (_content(stored, form, index) for index in wanted)
    first = next(contents)  # what cannot be decoded is told before the answer begins
    if not form.in_parts:
        return Response(first, media_type=form.told)
    return in_parts(form.kind, ((form.told, [content]) for content in itertools.chain([first], contents)))


def _forms(stored: StoredFrames) -> list[tuple[str, str]]:
    """Media types and transfer syntaxes in which frames are to be had, what is best understood first."""
    forms = [(OCTETS, str(ExplicitVRLittleEndian))] if stored.has_values else []
    if stored.syntax in _KINDS:
        forms += [(_KINDS[stored.syntax], str(stored.syntax)), (OCTETS, str(stored.syntax))]
    return forms


def _content(stored: StoredFrames, form: Form, index: int) -> bytes:
    if form.syntax != ExplicitVRLittleEndian:
        return stored.stream(index)
    with AT_ONCE:
        return stored.values(index)
