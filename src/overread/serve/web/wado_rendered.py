"""DICOMweb out: pictures of an object and its frames (WADO-RS rendered, PS3.18 10.4.1.1.3), and small ones."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from PIL import Image as Picture
from PIL import ImageOps

from overread.data.image import Image, read_image
from overread.data.window import own_brightness
from overread.errors import ImageError, ServiceError
from overread.serve.web.accept import choose_kind
from overread.serve.web.api import Uid
from overread.serve.web.dicomweb import BYTES, held_objects
from overread.serve.web.frames import AT_ONCE

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
_NUMBER = r"\d{1,9}(\.\d{1,9})?"
Window = Annotated[str, Query(pattern=rf"^(-?{_NUMBER},{_NUMBER},(linear|linear-exact|sigmoid))?$")]
"""centre, width and shape, in the unit of the values: Hounsfield units for CT"""
Viewport = Annotated[str, Query(pattern=r"^([1-9]\d{0,3},[1-9]\d{0,3})?$")]
"""columns and rows that the picture has to fit into"""
Frame = Annotated[int, Path(ge=1, le=1_000_000)]
_KINDS = {"image/jpeg": "JPEG", "image/png": "PNG"}
"""the default first (PS3.18 8.7.4)"""
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": dict.fromkeys(_KINDS, BYTES)}}
_MOST_OF_JPEG = 65_500
"""rows or columns, to libjpeg"""
_QUALITY = 95
"""of a JPEG: beyond it, it grows and looks no better"""
_SMALL = "128,128"
_INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"


@router.get(f"{_INSTANCE}/rendered", response_class=Response, responses=_PICTURE)
def rendered(
    request: Request, study: Uid, series: Uid, instance: Uid, window: Window = "", viewport: Viewport = ""
) -> Response:
    """The first frame as its file asks for it to be shown, or by another window."""
    return _answer(request, study, series, instance, window=window, viewport=viewport)


@router.get(f"{_INSTANCE}/frames/{{frame}}/rendered", response_class=Response, responses=_PICTURE)
def rendered_frame(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    frame: Frame,
    window: Window = "",
    viewport: Viewport = "",
) -> Response:
    """One frame, counted from 1, in the same way."""
    return _answer(request, study, series, instance, frame=frame, window=window, viewport=viewport)


@router.get("/studies/{study}/thumbnail", response_class=Response, responses=_PICTURE)
def study_thumbnail(request: Request, study: Uid, viewport: Viewport = _SMALL) -> Response:
    """A small picture of the image in the middle of a study's first series."""
    return _answer(request, study, viewport=viewport)


@router.get("/studies/{study}/series/{series}/thumbnail", response_class=Response, responses=_PICTURE)
def series_thumbnail(request: Request, study: Uid, series: Uid, viewport: Viewport = _SMALL) -> Response:
    """A small picture of the image in the middle of a series."""
    return _answer(request, study, series, viewport=viewport)


@router.get(f"{_INSTANCE}/thumbnail", response_class=Response, responses=_PICTURE)
def instance_thumbnail(
    request: Request, study: Uid, series: Uid, instance: Uid, viewport: Viewport = _SMALL
) -> Response:
    """A small picture of an image."""
    return _answer(request, study, series, instance, viewport=viewport)


def _answer(request: Request, *uids: str, frame: int = 1, window: str = "", viewport: str) -> Response:
    kind = choose_kind(request, *_KINDS)
    held = held_objects(request, *uids)
    first = [one for one in held if one.series == held[0].series]
    return Response(
        picture_of(first[len(first) // 2].path, _KINDS[kind], frame=frame, window=window, viewport=viewport),
        media_type=kind,
    )


def picture_of(path: File, form: str, *, frame: int = 1, window: str = "", viewport: str = "") -> bytes:
    """One frame of a file as a picture. form: JPEG or PNG. window, viewport: as they stand in a query, or empty.

    Raises ImageError for what cannot be decoded, and for a picture too long for a JPEG; ServiceError for a frame
    that is not there and a window without a width.
    """
    stream = io.BytesIO()
    with AT_ONCE:
        picture = Picture.fromarray(own_brightness(_windowed(_frame(path, frame), window)))
        if viewport:
            columns, rows = map(int, viewport.split(","))
            picture = ImageOps.contain(picture, (columns, rows), Picture.Resampling.BILINEAR)
        if form == "JPEG" and max(picture.size) > _MOST_OF_JPEG:
            raise ImageError("The image is too long for a JPEG. Ask for image/png.", kind="too-large")
        picture.save(stream, format=form, quality=_QUALITY)
    return stream.getvalue()


def _frame(path: File, frame: int) -> Image:
    try:
        return read_image(path, frame=frame - 1)
    except ImageError as fault:
        if fault.kind != "missing" or not path.exists():
            raise
        raise ServiceError(f"The object has no frame {frame}.", kind="not-found", status=404) from fault


def _windowed(image: Image, window: str) -> Image:
    """The image under another window; what was made to be shown as it is has none."""
    if not window or image.scale == "display":
        return image
    center, width, shape = window.split(",")
    if not float(width):
        raise ServiceError("A window has a width above 0.", kind="not-understood", status=422)
    return dataclasses.replace(image, window=(float(center), float(width)), window_shape=shape, lut=None)
