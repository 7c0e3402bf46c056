"""What the audit trail tells of is there, and as it tells; and nothing is there that it does not tell of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.serve.bounded import Ids, stream
from overread.serve.digest import FORMS, digest_of
from overread.serve.tables import Answer, Instance, Reading, Series, Step, Study
from overread.serve.trail import pieces

_PIECE = 500
_MOVED = (
    "has another file than came in",
    "is in another series than it came in",
    "is in another study than it came in",
)
_IMAGES = (
    select(Instance.id, Instance.uid, Instance.sha256, Series.uid, Study.uid)
    .outerjoin(Series, Series.id == Instance.series_id)
    .outerjoin(Study, Study.id == Series.study_id)
)
_READ = ("instance", "frame", "verdict", "label", "comment", "read_at")


@dataclass(frozen=True)
class Told:
    """The rows that the trail tells of, by their IDs."""

    images: Ids = field(default_factory=Ids)
    answers: Ids = field(default_factory=Ids)
    readings: Ids = field(default_factory=Ids)
    ended: Ids = field(default_factory=Ids)
    """images whose end, answered or refused, it tells of"""
    loosely: Ids = field(default_factory=Ids)
    """images with answers of a time when it did not tell of that"""


def missing(session: Session, told: Told) -> Iterator[str]:
    """In words what the trail tells of and is not there, or not as it was; `told` gets what is there."""
    for steps in pieces(session):
        by: dict[str, list[Step]] = {"received": [], "answered": [], "read": []}
        for step in steps:
            if step.did in by:
                by[step.did].append(step)
        yield from _received(session, by["received"], told)
        yield from _answered(session, by["answered"], told)
        yield from _read(session, by["read"], told)


def added(session: Session, told: Told) -> Iterator[str]:
    """In words what is there and the trail does not tell of; `missing` comes before."""
    for number, uid in stream(session, select(Instance.id, Instance.uid).order_by(Instance.id)):
        if number not in told.images:
            yield f"Image {uid} was added: the trail does not tell of it."
    answers = select(Answer.id, Answer.frame, Instance.uid).outerjoin(Instance, Instance.id == Answer.instance_id)
    for number, frame, uid in stream(session, answers.order_by(Answer.id)):
        if number not in told.answers:
            yield f"The answer to frame {frame} of image {uid} was changed, or added."
    readings = select(Reading.id, Study.uid).outerjoin(Study, Study.id == Reading.study_id)
    for number, uid in stream(session, readings.order_by(Reading.id)):
        if number not in told.readings:
            yield f"A reading of study {uid} was changed, or added."


def _received(session: Session, steps: Sequence[Step], told: Told) -> Iterator[str]:
    # older steps hold an image's UID alone, and not what its file is and where it belongs
    images = [[one] if isinstance(one, str) else one for step in steps for one in step.details.get("images", [])]
    for start in range(0, len(images), _PIECE):
        some = images[start : start + _PIECE]
        asked = _IMAGES.where(Instance.uid.in_([uid for uid, *_ in some]))
        rows = {uid: (number, said) for number, uid, *said in session.execute(asked)}
        for uid, *said in some:
            if uid not in rows:
                yield f"Image {uid} is gone."
                continue
            number, found = rows[uid]
            told.images.add(number)
            for was, now_is, words in zip(said, found, _MOVED, strict=False):
                if was != now_is:
                    yield f"Image {uid} {words}."


def _answered(session: Session, steps: Sequence[Step], told: Told) -> Iterator[str]:
    if not steps:
        return
    uids = {step.subject for step in steps}
    yield from _ends(session, steps, uids, told)
    digests = {(step.subject, _form(step), digest) for step in steps for digest in step.details.get("of", [])}
    forms = {form for _, form, _ in digests} & set(FORMS)
    answers = select(Answer, Instance.uid).join(Instance).where(Instance.uid.in_(uids)).order_by(Answer.id)
    for answer, uid in stream(session, answers):
        same = {(uid, form, digest_of(vars(answer), form=form)) for form in forms} & digests
        if same:
            digests -= same
            told.answers.add(answer.id)
    for uid, n in Counter(uid for uid, _, _ in digests).items():
        which = "An answer" if n == 1 else f"{n} answers"
        yield f"{which} to image {uid} {'is' if n == 1 else 'are'} not there as the trail tells."


def _ends(session: Session, steps: Sequence[Step], uids: set[str], told: Told) -> Iterator[str]:
    images = select(Instance.uid, Instance.id, Instance.state, Instance.problem).where(Instance.uid.in_(uids))
    rows = {uid: (number, [state, problem]) for uid, number, state, problem in session.execute(images)}
    for step in steps:
        if step.subject not in rows:
            continue
        number, found = rows[step.subject]
        if _form(step) == 1:
            told.loosely.add(number)
        if ended := step.details.get("ended"):
            told.ended.add(number)
            if ended != found:
                yield f"Image {step.subject} is marked otherwise than the trail tells: answered, refused, or why."


def _form(step: Step) -> Any:
    return step.details.get("form", 1)


def _read(session: Session, steps: Sequence[Step], told: Told) -> Iterator[str]:
    if not steps:
        return
    studies, times = {step.subject for step in steps}, {step.details.get("read_at") for step in steps}
    asked = select(Reading, Study.uid).join(Study).where(Study.uid.in_(studies), Reading.read_at.in_(times))
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, uid in stream(session, asked.order_by(Reading.id.desc())):
        said = (row.instance_uid, row.frame, row.verdict, row.label, row.comment, row.read_at, row.model)
        rows.setdefault((uid, row.reader, *said), []).append(row.id)
    for step in steps:
        wanted = (step.subject, step.who, *(step.details.get(name) for name in (*_READ, "model")))
        if same := rows.get(wanted):
            told.readings.add(same.pop())
        else:
            yield f"A reading of study {step.subject} is not there as the trail tells."
