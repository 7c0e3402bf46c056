"""DICOMweb (PS3.18) out: QIDO-RS and WADO-RS for the images that the store holds, and for its results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from overread.serve.holdings import Held, find_instances, find_series, find_studies, held_in, read_query
from overread.serve.web.accept import DICOM, MULTIPART, check_taken, choose_form, syntax_of
from overread.serve.web.api import Uid, service_of
from overread.serve.web.dicom_json import JSON, as_json, as_response, header_as_json, to_text
from overread.serve.web.multipart import in_parts
from overread.serve.web.views import not_found

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
Limit = Annotated[int, Query(ge=0)]
Offset = Annotated[int, Query(ge=0, le=100_000_000)]
_Answers = dict[int | str, dict[str, Any]]
_TOLD: _Answers = {200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}}}
_FOUND: _Answers = {**_TOLD, 204: {"description": "nothing fits"}}
BYTES = {"schema": {"type": "string", "format": "binary"}}
_OBJECTS: _Answers = {200: {"content": {MULTIPART: BYTES}}}
_OBJECT: _Answers = {200: {"content": {MULTIPART: BYTES, DICOM: BYTES}}}
_PIECE = 1 << 20
_MOST_FOUND = 1000
"""results of one search, whatever is asked for"""


@router.get("/studies", response_class=Response, responses=_FOUND)
def search_studies(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Find studies (QIDO-RS, PS3.18 10.6) by their UID, PatientID, ModalitiesInStudy or StudyDate (by its month)."""
    _check_json(request)
    store = service_of(request).store
    with store.read() as session:
        wanted = read_query(request.query_params, "studies")
        found = find_studies(session, store, wanted, limit=_one_more(limit), offset=offset)
    return _found(request, found, limit)


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
    _check_json(request)
    store = service_of(request).store
    with store.read() as session:
        wanted = read_query({**request.query_params, **under}, "series")
        found = find_series(session, store.files, wanted, limit=_one_more(limit), offset=offset)
    return _found(request, found, limit)


def _instances(request: Request, limit: int, offset: int, **under: str) -> Response:
    _check_json(request)
    store = service_of(request).store
    with store.read() as session:
        wanted = read_query({**request.query_params, **under}, "instances")
        found = find_instances(session, store.files, wanted, limit=_one_more(limit), offset=offset)
    return _found(request, found, limit)


def _one_more(limit: int) -> int:
    """How many are looked for, so that it is known whether more is there than is told."""
    return min(limit, _MOST_FOUND) + 1


def _found(request: Request, found: Sequence[dict[str, Any]], limit: int) -> Response:
    """A page of what was found, and in words what it is not (PS3.18 8.3.4.2, 8.3.4.4.1)."""
    n = min(limit, _MOST_FOUND)
    response = as_response([as_json(one) for one in found[:n]])
    warnings = []
    if len(found) > n:
        warnings.append("There are additional results that can be requested.")
    if request.query_params.get("fuzzymatching") == "true":
        warnings.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    if warnings:
        response.headers["Warning"] = ", ".join(f'299 overread "{words}"' for words in warnings)
    return response


@router.get("/studies/{study}", response_class=Response, responses=_OBJECTS)
def retrieve_study(request: Request, study: Uid) -> Response:
    """All objects of a study, as they came (WADO-RS, PS3.18 10.4)."""
    return _files(request, held_objects(request, study))


@router.get("/studies/{study}/series/{series}", response_class=Response, responses=_OBJECTS)
def retrieve_series(request: Request, study: Uid, series: Uid) -> Response:
    """All objects of a series, as they came."""
    return _files(request, held_objects(request, study, series))


@router.get("/studies/{study}/series/{series}/instances/{instance}", response_class=Response, responses=_OBJECT)
def retrieve_instance(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """One object, as it came; no multipart where application/dicom is asked for."""
    return _files(request, held_objects(request, study, series, instance), is_one=True)


@router.get("/studies/{study}/metadata", response_class=Response, responses=_TOLD)
def study_metadata(request: Request, study: Uid) -> Response:
    """The attributes of all objects of a study, without their pixels."""
    return _metadata(request, study)


@router.get("/studies/{study}/series/{series}/metadata", response_class=Response, responses=_TOLD)
def series_metadata(request: Request, study: Uid, series: Uid) -> Response:
    """The attributes of all objects of a series, without their pixels."""
    return _metadata(request, study, series)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/metadata", response_class=Response, responses=_TOLD
)
def instance_metadata(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """The attributes of one object, without its pixels."""
    return _metadata(request, study, series, instance)


def _check_json(request: Request) -> None:
    check_taken(request, JSON, "application/json")


def held_objects(request: Request, study: str, series: str = "", instance: str = "") -> list[Held]:
    """The objects of an address. Raises ServiceError (404) where there are none."""
    service = service_of(request)
    with service.store.read() as session:
        found = held_in(session, service.store.files, study, series, instance)
    if not found:
        raise not_found("object")
    return found


def _files(request: Request, held: Sequence[Held], *, is_one: bool = False) -> Response:
    if choose_form(request, [one.path for one in held], is_one=is_one) == DICOM:
        return FileResponse(held[0].path, media_type=_kind_of(held[0].path))
    return in_parts(DICOM, ((_kind_of(one.path), _pieces(one.path)) for one in held))


def _kind_of(path: Path) -> str:
    syntax = syntax_of(path)
    return f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _metadata(request: Request, *uids: str) -> Response:
    """One after the other: the headers of a study may be larger than memory."""
    _check_json(request)
    held = held_objects(request, *uids)
    pieces = (("[" if number == 0 else ",") + to_text(header_as_json(one)) for number, one in enumerate(held))
    return StreamingResponse(itertools.chain(pieces, ["]"]), media_type=JSON)
