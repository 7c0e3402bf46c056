"""REST: images in, answers out, readings kept."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import ServiceError
from overread.serve.jobs import HandedIn
from overread.serve.service import Service
from overread.serve.tables import Answer, Instance, Job, Reading, Study, now
from overread.serve.trail import record
from overread.serve.web import views
from overread.serve.web.frames import frame_heat, frame_pixels
from overread.serve.web.parts import Parts, parts_of

router = APIRouter(prefix="/api/v1", tags=["overread"])
Json = dict[str, Any]
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]
Frame = Annotated[int, Path(ge=0, le=1_000_000)]
Since = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2}(T[0-9:.]{1,15}Z?)?)?$")]
"""a day, or a time of it, in UTC"""
_ASK_AGAIN_S = 1.0
_MOST_WAIT_S = 300
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                    },
                }
            }
        },
    }
}
_TAKEN: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {"application/json": {"schema": {"type": "object"}}},
        "headers": {"Location": {"description": "where the job is asked for", "schema": {"type": "string"}}},
    }
    for status, words in ((200, "all images have their answer"), (202, "the files are kept, and wait for theirs"))
}


class Said(BaseModel):
    """What a reader says of an answer."""

    model_config = ConfigDict(extra="forbid")
    study: str = Field(pattern=r"^[0-9.]{1,64}$")
    instance: str = Field(default="", pattern=r"^[0-9.]{0,64}$")
    frame: int = Field(default=0, ge=0, le=1_000_000)
    verdict: Literal["agree", "disagree"]
    label: str = Field(default="", max_length=256)
    comment: str = Field(default="", max_length=4000)


def service_of(request: Request) -> Service:
    """The service that this application stands before."""
    service: Service = request.app.state.service
    return service


def who_asks(request: Request) -> str:
    """The name of the account behind a request."""
    person = getattr(request.state, "person", None)
    return str(getattr(person, "name", "local"))


@router.post("/images", openapi_extra=_UPLOAD, responses=_TAKEN)
async def hand_in(
    request: Request, response: Response, wait: Annotated[float, Query(ge=0, le=_MOST_WAIT_S)] = 0
) -> Json:
    """Hand in images: DICOM, PNG, JPEG, TIFF, NIfTI, or zip archives of them.

    They are kept when this answers: with 202 while some still wait for their answer, and with 200 once all have one.
    `wait`: for how many seconds to wait for that.
    """
    service, who = service_of(request), who_asks(request)
    with ExitStack() as stack:
        files, most = service.store.files, service.job_settings.max_files
        parts = await parts_of(request, files, stack, kind="form-data", max_files=most)
        by = "page" if "x-csrf-token" in request.headers else "rest"
        handed_in = await run_in_threadpool(_take, service, parts, by, who)
    if wait:
        await _wait_for(service, handed_in, wait)
    job = await run_in_threadpool(_job, service, handed_in.job_id)
    response.status_code = 200 if job["state"] == "done" else 202
    response.headers["Location"] = f"/api/v1/jobs/{handed_in.job_id}"
    return job


def _take(service: Service, parts: Parts, came_by: str, who: str) -> HandedIn:
    return service.jobs.hand_in(parts.write(), came_by=came_by, who=who)


async def _wait_for(service: Service, handed_in: HandedIn, seconds: float) -> None:
    """Come back when all images of an upload have their answer, or the time is over."""
    until = time.monotonic() + seconds
    heard = service.bell.call_for(handed_in.images)
    is_new = handed_in.is_new and not handed_in.has_archives
    try:
        while (left := until - time.monotonic()) > 0:
            # another process may answer, and rings no bell here
            if not is_new and await run_in_threadpool(_is_done, service, handed_in.job_id):
                return
            is_new = False
            if handed_in.has_archives:
                await asyncio.sleep(min(left, _ASK_AGAIN_S))
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), min(left, _ASK_AGAIN_S))
                return
    finally:
        service.bell.forget(handed_in.images, heard)


def _is_done(service: Service, job_id: str) -> bool:
    with service.store.read() as session:
        return views.is_done(session, job_id)


def _job(service: Service, job_id: str) -> Json:
    with service.store.read() as session:
        return views.job_view(session, job_id)


@router.get("/jobs/{job_id}")
def job(
    request: Request,
    job_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
    limit: Annotated[int, Query(ge=0, le=views.MOST_IMAGES)] = views.MOST_IMAGES,
    offset: Annotated[int, Query(ge=0, le=100_000_000)] = 0,
) -> Json:
    """How far a job is, and the answers that there are, to `limit` of its images from number `offset` on.

    Only who handed it in, or an admin, may ask.
    """
    service = service_of(request)
    person = getattr(request.state, "person", None)
    with service.store.read() as session:
        found = session.get(Job, job_id)
        role = getattr(person, "role", "admin")
        if found is None or (role != "admin" and found.account != who_asks(request)):
            raise views.no_job()
        return views.job_view(session, job_id, limit=limit, offset=offset)


@router.get("/studies")
def studies(
    request: Request,
    search: Annotated[str, Query(max_length=128)] = "",
    label: Annotated[str, Query(max_length=256)] = "",
    state: Literal["", "waiting", "answered", "problem"] = "",
    verdict: Literal["", "agree", "disagree", "none"] = "",
    since: Since = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=100_000_000)] = 0,
) -> Json:
    """Find studies, the newest first.

    A study's class is that with the highest mean probability over its images; what sets promise holds for images.
    """
    wanted = {"search": search, "label": label, "state": state, "verdict": verdict, "since": since}
    with service_of(request).store.read() as session:
        return views.studies_view(session, wanted, limit=limit, offset=offset)


@router.get("/studies/{uid}")
def study(request: Request, uid: Uid) -> Json:
    """A study with its series, images, answers and readings."""
    with service_of(request).store.read() as session:
        return views.study_view(session, uid)


@router.get(
    "/images/{uid}/frames/{frame}/pixels",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def pixels(request: Request, uid: Uid, frame: Frame) -> Response:
    """The values of a frame; X-Type, X-Rows and the others say how to read them."""
    service = service_of(request)
    with service.store.read() as session:
        image = views.find_image(session, uid)
    _check_frame(image.n_frames, frame)
    found = frame_pixels(service.store, image, frame)
    return Response(found.content, media_type="application/octet-stream", headers=found.headers)


@router.get("/images/{uid}/frames/{frame}/heat")
def heat(request: Request, uid: Uid, frame: Frame) -> Json:
    """For each class how much each part of a frame speaks for it: rows of numbers over the whole frame."""
    service = service_of(request)
    with service.store.read() as session:
        image = views.find_image(session, uid)
        answer = _newest(session, image, frame)
    if answer is None:
        raise views.not_found("answer")
    return frame_heat(service.model, image, answer)


@router.post("/readings", status_code=201)
def read(request: Request, said: Said) -> Json:
    """Agree with the model's answer, or disagree and say what is right."""
    service, who = service_of(request), who_asks(request)
    classes = service.model.card.classes
    if said.label and said.label not in classes:
        raise ServiceError(
            f"The label is none of the model's classes: {', '.join(classes)}. Put others into the comment.",
            kind="unknown-label",
            status=422,
        )
    with service.store.begin() as session:
        found = session.scalars(select(Study).where(Study.uid == said.study).with_for_update()).first()
        if found is None:
            raise views.not_found("study")
        if words := _contradiction(said, _spoken_of(session, said, found)):
            raise ServiceError(words, kind="contradiction", status=422)
        reading = Reading(
            study_id=found.id,
            instance_uid=said.instance,
            frame=said.frame,
            reader=who,
            verdict=said.verdict,
            label=said.label,
            comment=said.comment,
            model=service.model.sha256,
            read_at=now(),
        )
        session.add(reading)
        found.verdict, found.reader_label = said.verdict, said.label
        view = views.reading_view(reading, found.uid)
        record(session, who=who, did="read", subject=found.uid, model=service.model.sha256, **_kept(view))
    return view


@router.get("/model")
def model(request: Request) -> Json:
    """The model: its classes, what it is for, and its limits."""
    return service_of(request).model.about


def _contradiction(said: Said, of: Study | Answer | None) -> str:
    """Why a reading does not fit what it is of; empty where it does. A model that abstains gives no answer."""
    answer = of.label if of else ""
    if said.verdict == "agree":
        if not answer:
            return "There is no answer of the model to agree with. Wait for it, or disagree and say what is right."
        if said.label not in ("", answer):
            return f"The model's answer is {answer}: who agrees names no other class. Leave the label empty."
    elif of and said.label and said.label == answer and not of.abstains:
        return f"The model's answer is {answer} too: who disagrees names another class, or none. Change the label."
    return ""


def _spoken_of(session: Session, said: Said, study: Study) -> Study | Answer | None:
    """What a reading is of: the model's answer to a frame of an image, if there is one, or the whole study."""
    if not said.instance:
        if said.frame:
            raise ServiceError("A frame is one of an image: name the instance too.", kind="no-instance", status=422)
        return study
    image = views.find_image(session, said.instance)
    if image.series.study_id != study.id:
        raise views.not_found("image")
    _check_frame(image.n_frames, said.frame)
    return _newest(session, image, said.frame)


def _newest(session: Session, image: Instance, frame: int) -> Answer | None:
    of_frame = select(Answer).where(Answer.instance_id == image.id, Answer.frame == frame)
    return session.scalars(of_frame.order_by(Answer.id.desc()).limit(1)).first()


def _kept(view: Json) -> Json:
    return {name: view[name] for name in ("instance", "frame", "verdict", "label", "comment", "read_at")}


def _check_frame(n_frames: int, frame: int) -> None:
    if frame >= n_frames:
        has = "1 frame, which is number 0" if n_frames == 1 else f"{n_frames} frames, counted from 0"
        raise ServiceError(f"The image has {has}.", kind="not-found", status=404)
