"""The audit trail: who did what and when, each step bound to the one before it by a hash.

What was written cannot be changed without every later hash being wrong; the last hash, kept elsewhere, also proves
that nothing was cut off at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from overread.serve.locks import TRAIL, lock
from overread.serve.tables import Step, now

START = "0" * 64
_PIECE = 1000
_NEWEST = select(Step.number, Step.hash).order_by(Step.number.desc()).limit(1)
_NOTED = "steps"
"""of a session: what its transaction has told, and will be written at its end"""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What reading the whole trail shows."""

    n_steps: int
    last_hash: str
    """the hash of the last step that holds"""
    broken_at: int | None = None
    """number of the first step that does not hold; None where all do"""
    why: str = ""


def record(session: Session, *, who: str, did: str, subject: str = "", **details: Any) -> None:
    """Note a step within a transaction of the store: it is written if, and only if, what it tells of is."""
    noted = session.info.setdefault(_NOTED, [])
    noted.append({"at": now(), "who": who, "did": did, "subject": subject, "details": details})


def write_steps(session: Session) -> None:
    """Bind what was noted to the last step, and write it: the last thing that a transaction does.

    From here on it alone may write steps until it ends. Who took a study's lock after this one could wait for one
    who does the opposite.
    """
    noted: list[dict[str, Any]] = session.info.pop(_NOTED, [])
    if not noted:
        return
    lock(session, TRAIL)  # two would take the same number
    last, before = session.execute(_NEWEST).first() or (0, START)
    for number, step in enumerate(noted, start=last + 1):
        step |= {"number": number, "before": before}
        before = step["hash"] = _hash(step)
    session.execute(insert(Step), noted)


def _hash(step: dict[str, Any]) -> str:
    """SHA-256 of all that a step says and of the hash before it."""
    said = [step[name] for name in ("number", "at", "who", "did", "subject", "details", "before")]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify(session: Session) -> Verified:
    """Read the trail from its first step to its last, and check each against the one before it."""
    n, before = 0, START
    for steps in pieces(session):
        for step in steps:
            why = ""
            if step.number != n + 1:
                why = f"step {n + 1} is missing"
            elif step.before != before:
                why = "it does not follow from the step before it"
            elif step.hash != _hash(vars(step)):
                why = "what it says was changed"
            if why:
                return Verified(n_steps=n, last_hash=before, broken_at=n + 1, why=why)
            n, before = step.number, step.hash
    return Verified(n_steps=n, last_hash=before)


def pieces(session: Session) -> Iterator[Sequence[Step]]:
    """All steps in their order, some at a time, so that a trail of any length is read in bounded memory."""
    last = 0
    while steps := session.scalars(select(Step).where(Step.number > last).order_by(Step.number).limit(_PIECE)).all():
        yield steps
        last = steps[-1].number
        session.expunge_all()
