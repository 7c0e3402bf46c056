"""What the store holds, as the plain values of JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, selectinload

from overread.data.window import NEEDS_UNITS
from overread.errors import ServiceError
from overread.serve.summary import mean_probabilities, n_silent, silence
from overread.serve.tables import Answer, Instance, Job, Reading, Series, Study

Json = dict[str, Any]
MOST_IMAGES = 1000
"""of a job, whose answers are told at once"""
_MOST_ASKED = 500
_NO_UNITS = "This model needs images in Hounsfield units, as CT scanners store them in DICOM; this image has none."
_TOLD: dict[str, InstrumentedAttribute[Any]] = {
    "frame": Answer.frame,
    "label": Answer.label,
    "probabilities": Answer.probabilities,
    "set": Answer.classes,
    "abstains": Answer.abstains,
    "problem": Answer.problem,
    "nearest": Answer.nearest,
    "model": Answer.model,
    "answered_at": Answer.answered_at,
}
"""what is told of an answer, by name"""
# statements that are made once: making one takes as long as asking the database
_IMAGES = (
    select(Instance.id, Instance.uid, Series.uid, Study.uid, Instance.state, Instance.problem)
    .join(Instance.series)
    .join(Series.study)
    .where(Instance.uid.in_(bindparam("uids", expanding=True)))
)
_ANSWERS = (
    select(Answer.instance_id, *_TOLD.values())
    .where(Answer.instance_id.in_(bindparam("ids", expanding=True)))
    .order_by(Answer.id)
)


def job_view(session: Session, job_id: str, *, limit: int = MOST_IMAGES, offset: int = 0) -> Json:
    """A job: how far it is, what was refused and why, and the answers that there are to `limit` of its images."""
    job = session.get(Job, job_id)
    if job is None:
        raise no_job()
    images = _images(session, job.instances)
    states = Counter(image["state"] for image in images)
    is_done = job.state == "read" and not states["waiting"]
    studies = dict.fromkeys(image["study"] for image in images)
    reasons = Counter(image["problem"] for image in images if image["state"] == "refused")
    return {
        "id": job.id,
        "state": "done" if is_done else "predicting" if job.state == "read" else "reading",
        "n_files": job.n_files,
        "n_read": job.n_read,
        "n_images": len(images),
        "n_answered": states["answered"],
        "n_refused": states["refused"],
        "reasons": [{"problem": problem, "n_images": n} for problem, n in reasons.most_common()],
        "problems": job.problems,
        "studies": [{"uid": uid, "url": f"/studies/{uid}"} for uid in studies],
        "images": _with_answers(session, images[offset : offset + limit]),
    }


def is_done(session: Session, job_id: str) -> bool:
    """Whether a job has all its answers."""
    job = session.get_one(Job, job_id)
    if job.state != "read":
        return False
    pieces = [job.instances[start : start + _MOST_ASKED] for start in range(0, len(job.instances), _MOST_ASKED)]
    waiting = (select(Instance.id).where(Instance.uid.in_(piece), Instance.state == "waiting") for piece in pieces)
    return all(session.scalars(one.limit(1)).first() is None for one in waiting)


def studies_view(session: Session, wanted: Json, *, limit: int, offset: int) -> Json:
    """A page of the work list, the newest first. wanted: search, label, state, verdict and since."""
    found = _filtered(select(Study), wanted)
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    rows: Iterable[Study] = session.scalars(
        found.options(selectinload(Study.series))
        .order_by(Study.changed_at.desc(), Study.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return {"total": total, "studies": [study_row(study) for study in rows]}


def study_row(study: Study) -> Json:
    """A study in a line."""
    modalities = sorted({series.modality for series in study.series if series.modality})
    return {
        "uid": study.uid,
        "url": f"/studies/{study.uid}",
        "patient": study.patient,
        "description": study.description,
        "taken_on": study.taken_on,
        "received_at": study.received_at,
        "modality": "/".join(modalities),
        "n_images": study.n_images,
        # the store counts all that were looked at
        "n_answered": study.n_answered - study.n_refused,
        "n_refused": study.n_refused,
        "state": _state(study),
        "label": study.label,
        "probability": study.probability,
        "abstains": study.abstains,
        "verdict": study.verdict,
        "reader_label": study.reader_label,
    }


def study_view(session: Session, uid: str) -> Json:
    """A study with its series, images, answers and readings."""
    study = session.scalars(
        select(Study)
        .where(Study.uid == uid)
        .options(selectinload(Study.series).selectinload(Series.instances).selectinload(Instance.predictions))
    ).first()
    if study is None:
        raise not_found("study")
    series: list[Json] = [
        {
            "uid": one.uid,
            "modality": one.modality,
            "description": one.description,
            "images": [image_view(image) for image in one.instances],
        }
        for one in study.series
    ]
    images = [image for one in series for image in one["images"]]
    answered = [frame for image in images for frame in image["frames"] if frame["probabilities"]]
    return {
        **study_row(study),
        "probabilities": mean_probabilities(study),
        "n_frames": study.n_frames,
        "n_frames_earlier": sum(frame["model"] != study.model for frame in answered),
        "n_frames_in_all": sum(image["n_frames"] for image in images),
        "n_silent": n_silent(study),
        "silence": silence(study),
        "series": series,
        "readings": [reading_view(reading, uid) for reading in study.readings],
    }


def image_view(image: Instance) -> Json:
    """An image and what was last said of each of its frames."""
    newest = {answer.frame: answer for answer in sorted(image.predictions, key=lambda answer: answer.id)}
    return {
        "uid": image.uid,
        "n_frames": image.n_frames,
        "rows": image.rows,
        "columns": image.columns,
        "format": image.format,
        "state": image.state,
        "problem": _for_readers(image.problem),
        "frames": [answer_view(newest[frame]) for frame in sorted(newest)],
    }


def answer_view(answer: Answer) -> Json:
    """What one model said of one frame."""
    return _answer([getattr(answer, column.key) for column in _TOLD.values()])


def _answer(values: Sequence[Any]) -> Json:
    """values: those of `_TOLD`, in its order."""
    told = dict(zip(_TOLD, values, strict=True))
    return {**told, "problem": _for_readers(told["problem"])}


def reading_view(reading: Reading, study: str) -> Json:
    """What a reader said."""
    return {
        "study": study,
        "instance": reading.instance_uid,
        "frame": reading.frame,
        "reader": reading.reader,
        "verdict": reading.verdict,
        "label": reading.label,
        "comment": reading.comment,
        "read_at": reading.read_at,
    }


def find_image(session: Session, uid: str) -> Instance:
    """An image by its UID. Raises ServiceError."""
    image = session.scalars(select(Instance).where(Instance.uid == uid)).first()
    if image is None:
        raise not_found("image")
    return image


def not_found(what: str) -> ServiceError:
    """The error for what is not here; it does not repeat what was asked for."""
    return ServiceError(f"There is no such {what} here. Check its UID.", kind="not-found", status=404)


def no_job() -> ServiceError:
    """The error for a job that is not here, and for one that is another's: they are not told apart."""
    words = "There is no such job here. Check its ID; a job is shown to who handed it in, and to admins."
    return ServiceError(words, kind="not-found", status=404)


def _images(session: Session, uids: Sequence[str]) -> list[Json]:
    """Images by their UIDs, in their order; those that are not there are left out."""
    found: dict[str, Json] = {}
    for start in range(0, len(uids), _MOST_ASKED):
        for row in session.execute(_IMAGES, {"uids": uids[start : start + _MOST_ASKED]}):
            image: Json = dict(zip(("id", "instance", "series", "study", "state", "problem"), row, strict=True))
            image["problem"] = _for_readers(image["problem"])
            found[image["instance"]] = image
    return [found[uid] for uid in uids if uid in found]


def _with_answers(session: Session, images: Sequence[Json]) -> list[Json]:
    """The images with what was last said of each of their frames."""
    frames: dict[int, dict[int, Json]] = {image["id"]: {} for image in images}
    ids = list(frames)
    for start in range(0, len(ids), _MOST_ASKED):
        for image, *said in session.execute(_ANSWERS, {"ids": ids[start : start + _MOST_ASKED]}):
            frames[image][int(said[0])] = _answer(said)
    return [
        {
            **{name: value for name, value in image.items() if name != "id"},
            "frames": [answer for _, answer in sorted(frames[image["id"]].items())],
        }
        for image in images
    ]


def _for_readers(problem: str) -> str:
    """A problem in the words of who reads images: the store keeps those of who trains models."""
    return _NO_UNITS if NEEDS_UNITS in problem else problem


def _state(study: Study) -> str:
    if study.n_answered < study.n_images:
        return "waiting"
    return "problem" if study.n_refused else "answered"


def _filtered(found: Select[tuple[Study]], wanted: Json) -> Select[tuple[Study]]:
    if text := wanted.get("search"):
        like = f"%{_plain(text)}%"
        has = [Study.uid, Study.patient, Study.description, Study.label, Study.reader_label]
        found = found.where(or_(*(column.ilike(like, escape="\\") for column in has)))
    if label := wanted.get("label"):
        found = found.where(Study.label == label)
    if verdict := wanted.get("verdict"):
        found = found.where(Study.verdict == ("" if verdict == "none" else verdict))
    if since := wanted.get("since"):
        found = found.where(Study.received_at >= since)
    if state := wanted.get("state"):
        is_waiting = Study.n_answered < Study.n_images
        found = found.where(
            {
                "waiting": is_waiting,
                "answered": ~is_waiting & (Study.n_refused == 0),
                "problem": ~is_waiting & (Study.n_refused > 0),
            }[state]
        )
    return found


def _plain(text: str) -> str:
    """Text in which no character stands for others."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
