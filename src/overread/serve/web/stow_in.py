"""DICOMweb (PS3.18) in: objects by STOW-RS."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from overread.data.dicom import load
from overread.data.guard import guarded
from overread.data.sniff import sniff
from overread.errors import ImageError, ServiceError
from overread.serve.holdings import held_in
from overread.serve.intake import Taken
from overread.serve.node import status_of
from overread.serve.service import Service
from overread.serve.web.api import Uid, service_of, who_asks
from overread.serve.web.dicom_json import JSON, as_json, as_response
from overread.serve.web.parts import Parts, parts_of

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
_KEPT: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {JSON: {"schema": {"type": "object"}}}}
    for status, words in ((200, "all are kept"), (202, "some are kept"), (409, "none is kept"))
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/related": {"schema": {"type": "string"}}}}}
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
    n_good = sum(one.problem is None or one.is_own_result for one in taken)
    status = 200 if n_good == len(taken) else 202 if n_good else 409
    return as_response(_told(request, taken, named), status)


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


def _read_names(path: Path) -> _Named:
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

    An item that names no object stands in a sequence of its own: in the others both UIDs are of Type 1. A result of
    overread's own that comes back is thanked for, and has no address: it is left out.
    """
    base = f"{request.url.scheme}://{request.url.netloc}{router.prefix}/studies"
    kept, failed, unnamed = [], [], []
    for one, names in zip(taken, named, strict=True):
        item = {"ReferencedSOPClassUID": names.sop_class, "ReferencedSOPInstanceUID": one.instance or names.instance}
        if one.problem is None:
            series = names.series or _series_of(request, one)
            url = f"{base}/{one.study}/series/{series}/instances/{one.instance}"
            kept.append(as_json({**item, "RetrieveURL": url}))
        elif one.is_own_result:
            kept.append({**as_json(item), "00081190": {"vr": "UR"}})
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
    store = service_of(request).store
    with store.read() as session:
        return held_in(session, store.files, one.study, "", one.instance)[0].series
