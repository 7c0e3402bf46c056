"""Holds all that the store keeps against its audit trail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.serve.answering import digest_of
from overread.serve.store import Store
from overread.serve.tables import Answer, Instance, Reading, Step, Study
from overread.serve.trail import verify

_PIECE = 500
_MOST_FAULTS = 50


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was found."""

    n_steps: int
    n_answers: int
    n_readings: int
    n_files: int
    last_hash: str
    faults: tuple[str, ...]
    """what does not hold, in words; the first 50"""


def prove(store: Store, *, expect: str = "") -> Proof:
    """Read the trail, and hold answers, readings and files against it. expect: a hash that the trail must contain."""
    with store.read() as session:
        trail = verify(session)
        faults = [f"Step {trail.broken_at} of the trail: {trail.why}."] if trail.broken_at else []
        if expect and not _has(session, expect):
            faults.append(
                "The hash that was expected is not in the trail: its end was cut off, or all of it was made anew."
            )
        n_answers, wrong = _count(_answers(session))
        n_readings, misread = _count(_readings(session))
        n_files, lost = _count(_files(session, store))
    faults += [*wrong, *misread, *lost]
    return Proof(
        n_steps=trail.n_steps,
        n_answers=n_answers,
        n_readings=n_readings,
        n_files=n_files,
        last_hash=trail.last_hash,
        faults=tuple(faults[:_MOST_FAULTS]),
    )


def _has(session: Session, start: str) -> bool:
    like = "".join(letter for letter in start if letter in "0123456789abcdef")
    return session.scalars(select(Step.number).where(Step.hash.startswith(like)).limit(1)).first() is not None


def _count(found: Iterator[str]) -> tuple[int, list[str]]:
    """How many were looked at, and the faults among them."""
    n, faults = 0, []
    for fault in found:
        n += 1
        if fault:
            faults.append(fault)
    return n, faults


def _answers(session: Session) -> Iterator[str]:
    """For each answer what is wrong with it; nothing where the trail knows it as it is."""
    last = 0
    while rows := session.execute(
        select(Answer, Instance.uid).join(Instance).where(Answer.id > last).order_by(Answer.id).limit(_PIECE)
    ).all():
        uids = {uid for _, uid in rows}
        steps = session.scalars(select(Step).where(Step.did == "answered", Step.subject.in_(uids))).all()
        known = {(step.subject, digest) for step in steps for digest in step.details["of"]}
        for answer, uid in rows:
            is_known = (uid, digest_of(vars(answer))) in known
            yield "" if is_known else f"The answer to frame {answer.frame} of image {uid} was changed, or added."
        last = rows[-1][0].id
        session.expunge_all()


def _readings(session: Session) -> Iterator[str]:
    rows = session.execute(select(Reading, Study.uid).join(Study).order_by(Reading.id)).all()
    steps = session.scalars(select(Step).where(Step.did == "read")).all()
    known = {(step.subject, step.who, *(step.details[name] for name in _SAID)) for step in steps}
    for reading, uid in rows:
        said = (reading.instance_uid, reading.frame, reading.verdict, reading.label, reading.comment, reading.read_at)
        is_known = (uid, reading.reader, *said) in known
        yield "" if is_known else f"A reading of study {uid} was changed, or added."


_SAID = ("instance", "frame", "verdict", "label", "comment", "read_at")


def _files(session: Session, store: Store) -> Iterator[str]:
    for uid, sha256 in session.execute(select(Instance.uid, Instance.sha256).order_by(Instance.id)):
        path = store.files.path_of(sha256)
        if not path.exists():
            yield f"The file of image {uid} is gone."
            continue
        with path.open("rb") as file:
            is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        yield "" if is_same else f"The file of image {uid} was changed."
