"""DICOMweb (PS3.18): STOW-RS in; QIDO-RS and WADO-RS for the images that the store holds, and for its results."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from overread.data.dicom import load
from overread.data.guard import guarded
from overread.data.sniff import sniff
from overread.errors import ImageError, ServiceError
from overread.serve.holdings import Held, find_instances, find_series, find_studies, held_in, read_query
from overread.serve.intake import Taken
from overread.serve.node import status_of
from overread.serve.service import Service
from overread.serve.web.api import service_of, who_asks
from overread.serve.web.dicom_json import as_json, header_as_json, to_text
from overread.serve.web.frames import rendered_png
from overread.serve.web.parts import Parts, parts_of
from overread.serve.web.views import not_found

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=100_000_000)]
JSON = "application/dicom+json"
_Answers = dict[int | str, dict[str, Any]]
_TOLD: _Answers = {200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}}}
_FOUND: _Answers = {**_TOLD, 204: {"description": "nothing fits"}}
_KEPT: _Answers = {
    status: {"description": words, "content": {JSON: {"schema": {"type": "object"}}}}
    for status, words in ((200, "all are kept"), (202, "some are kept"), (409, "none is kept"))
}
_OBJECTS: _Answers = {200: {"content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}}}}
_PICTURE: _Answers = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
_BODY = {"requestBody": {"required": True, "content": {"multipart/related": {"schema": {"type": "string"}}}}}
_PIECE = 1 << 20
_NAMES = {
    "SOPClassUID": "sop_class",
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "SOPInstanceUID": "instance",
}


@dataclass(frozen=True, kw_only=True)
class _Named:
    """What an object calls itself; empty where it does not say, or cannot be read."""

    sop_class: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    is_dicom: bool = True


@router.post("/studies", response_class=Response, responses=_KEPT, openapi_extra=_BODY)
async def store_instances(request: Request) -> Response:
    """Store instances (STOW-RS, PS3.18 10.5): 200 when all are kept, 202 when some are, 409 when none is."""
    return await _store(request, "")


@router.post("/studies/{study}", response_class=Response, responses=_KEPT, openapi_extra=_BODY)
async def store_in_study(request: Request, study: Uid) -> Response:
    """Store instances of one study; those of others are refused."""
    return await _store(request, study)


async def _store(request: Request, study: str) -> Response:
    service = service_of(request)
    with ExitStack() as stack:
        parts = await parts_of(
            request,
            service.store.files,
            stack,
            kind="related",
            max_files=service.job_settings.max_files,
            max_file_bytes=service.intake_settings.max_file_mb * 1_000_000,
        )
        taken, named = await run_in_threadpool(_take, service, parts, study, who_asks(request))
    service.answerer.wake()
    kept = [one for one in taken if one.problem is None]
    status = 200 if len(kept) == len(taken) else 202 if kept else 409
    return _json(_told(request, taken, named), status)


def _take(service: Service, parts: Parts, study: str, who: str) -> tuple[list[Taken], list[_Named]]:
    """What became of each object, and what it calls itself."""
    files = parts.write()
    named = [_read_names(file.path) for file in files]
    faults = [_why_wrong(names, study) for names in named]
    right = [file for file, fault in zip(files, faults, strict=True) if fault is None]
    found = iter(service.intake.take(right, came_by="stow", who=who))
    taken = [
        next(found) if fault is None else Taken(name=file.name, problem=fault)
        for file, fault in zip(files, faults, strict=True)
    ]
    return taken, named


def _read_names(path: File) -> _Named:
    """What an object calls itself: its SOP class, and the UIDs of its study, its series, and its own."""
    try:
        if sniff(path) != "dicom":
            return _Named(is_dicom=False)
        with guarded(path):
            dataset = load(path, pixels=False, specific_tags=list(_NAMES))
            names: dict[str, Any] = {name: str(dataset.get(keyword, "")) for keyword, name in _NAMES.items()}
            return _Named(**names)
    except ImageError:  # the intake will say what is wrong with it
        return _Named()


def _why_wrong(names: _Named, study: str) -> ServiceError | None:
    if not names.is_dicom:
        return ServiceError("It is no DICOM object. Send pictures to /api/v1/images.", kind="not-dicom", status=415)
    if study and names.study != study:
        return ServiceError("It belongs to another study than the address says.", kind="other-content", status=409)
    return None


def _told(request: Request, taken: Sequence[Taken], named: Sequence[_Named]) -> dict[str, Any]:
    """The Store Instances Response Module (PS3.18 Table I.2-1), as JSON: why not is told as C-STORE tells it.

    An item that names no object stands in a sequence of its own: in the others both UIDs are of Type 1.
    """
    base = f"{request.url.scheme}://{request.url.netloc}{router.prefix}/studies"
    kept, failed, unnamed = [], [], []
    for one, names in zip(taken, named, strict=True):
        item = {"ReferencedSOPClassUID": names.sop_class, "ReferencedSOPInstanceUID": one.instance or names.instance}
        if one.problem is None:
            series = names.series or _series_of(request, one)
            url = f"{base}/{one.study}/series/{series}/instances/{one.instance}"
            kept.append(as_json({**item, "RetrieveURL": url}))
        elif all(item.values()):
            failed.append(as_json({**item, "FailureReason": int(status_of(one.problem))}))
        else:
            unnamed.append(as_json({"FailureReason": int(status_of(one.problem))}))
    studies = {one.study for one in taken if one.problem is None}
    found = as_json({"RetrieveURL": f"{base}/{studies.pop()}" if len(studies) == 1 else ""})
    for tag, items in (("00081198", failed), ("00081199", kept), ("0008119A", unnamed)):
        if items:
            found[tag] = {"vr": "SQ", "Value": items}
    return found


def _series_of(request: Request, one: Taken) -> str:
    """The series that the store made up for an object without one."""
    return _held(request, one.study, instance=one.instance)[0].series


@router.get("/studies", response_class=Response, responses=_FOUND)
def search_studies(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find studies (QIDO-RS, PS3.18 10.6) by their UID, PatientID, ModalitiesInStudy or StudyDate (by its month)."""
    service = service_of(request)
    with service.store.read() as session:
        wanted = read_query(request.query_params, "studies")
        found = find_studies(session, service.store.key, wanted, limit=limit, offset=offset)
    return _json([as_json(one) for one in found])


@router.get("/series", response_class=Response, responses=_FOUND)
def search_series(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find series by their UID or Modality."""
    return _series(request, limit, offset)


@router.get("/studies/{study}/series", response_class=Response, responses=_FOUND)
def search_series_of_study(request: Request, study: Uid, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find series of one study."""
    return _series(request, limit, offset, StudyInstanceUID=study)


@router.get("/instances", response_class=Response, responses=_FOUND)
def search_instances(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find instances by their UID."""
    return _instances(request, limit, offset)


@router.get("/studies/{study}/instances", response_class=Response, responses=_FOUND)
def search_instances_of_study(request: Request, study: Uid, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find instances of one study."""
    return _instances(request, limit, offset, StudyInstanceUID=study)


@router.get("/studies/{study}/series/{series}/instances", response_class=Response, responses=_FOUND)
def search_instances_of_series(
    request: Request, study: Uid, series: Uid, limit: Limit = 100, offset: Offset = 0
) -> Response:
    """Find instances of one series."""
    return _instances(request, limit, offset, StudyInstanceUID=study, SeriesInstanceUID=series)


def _series(request: Request, limit: int, offset: int, **under: str) -> Response:
    with service_of(request).store.read() as session:
        found = find_series(
            session, read_query({**request.query_params, **under}, "series"), limit=limit, offset=offset
        )
    return _json([as_json(one) for one in found])


def _instances(request: Request, limit: int, offset: int, **under: str) -> Response:
    store = service_of(request).store
    with store.read() as session:
        wanted = read_query({**request.query_params, **under}, "instances")
        found = find_instances(session, store.files, wanted, limit=limit, offset=offset)
    return _json([as_json(one) for one in found])


@router.get("/studies/{study}", response_class=Response, responses=_OBJECTS)
def retrieve_study(request: Request, study: Uid) -> Response:
    """All objects of a study, as they came (WADO-RS, PS3.18 10.4)."""
    return _files(_held(request, study))


@router.get("/studies/{study}/series/{series}", response_class=Response, responses=_OBJECTS)
def retrieve_series(request: Request, study: Uid, series: Uid) -> Response:
    """All objects of a series, as they came."""
    return _files(_held(request, study, series))


@router.get("/studies/{study}/series/{series}/instances/{instance}", response_class=Response, responses=_OBJECTS)
def retrieve_instance(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """One object, as it came."""
    return _files(_held(request, study, series, instance))


@router.get("/studies/{study}/metadata", response_class=Response, responses=_TOLD)
def study_metadata(request: Request, study: Uid) -> Response:
    """The attributes of all objects of a study, without their pixels."""
    return _metadata(_held(request, study))


@router.get("/studies/{study}/series/{series}/metadata", response_class=Response, responses=_TOLD)
def series_metadata(request: Request, study: Uid, series: Uid) -> Response:
    """The attributes of all objects of a series, without their pixels."""
    return _metadata(_held(request, study, series))


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/metadata", response_class=Response, responses=_TOLD
)
def instance_metadata(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """The attributes of one object, without its pixels."""
    return _metadata(_held(request, study, series, instance))


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/rendered", response_class=Response, responses=_PICTURE
)
def rendered(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """The first frame as its file asks for it to be shown, as PNG."""
    (held,) = _held(request, study, series, instance)
    return Response(rendered_png(held.path), media_type="image/png")


def _json(content: Any, status: int = 200) -> Response:
    if content == [] and status == 200:
        return Response(status_code=204)
    return Response(to_text(content), status_code=status, media_type=JSON)


def _held(request: Request, study: str, series: str = "", instance: str = "") -> list[Held]:
    service = service_of(request)
    with service.store.read() as session:
        found = held_in(session, service.store.files, study, series, instance)
    if not found:
        raise not_found("object")
    return found


def _files(held: Sequence[Held]) -> Response:
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return StreamingResponse(_parts(held, boundary), media_type=kind)


def _parts(held: Sequence[Held], boundary: str) -> Iterator[bytes]:
    for one in held:
        yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        with one.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _metadata(held: Sequence[Held]) -> Response:
    """One after the other: the headers of a study may be larger than memory."""
    pieces = (("[" if number == 0 else ",") + to_text(header_as_json(one)) for number, one in enumerate(held))
    return StreamingResponse(itertools.chain(pieces, ["]"]), media_type=JSON)
