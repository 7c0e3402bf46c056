"""The audit trail: who did what and when, each step bound to the one before it by a hash.

What was written cannot be changed without every later hash being wrong; the last hash, kept elsewhere, also proves
that nothing was cut off at the end.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from overread.serve.tables import Step, now

START = "0" * 64
_LOCK = 0x6F766572
_PIECE = 1000
_LAST = "last step"
"""of a session's transaction, which alone may write any until it ends"""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What reading the whole trail shows."""

    n_steps: int
    last_hash: str
    """the hash of the last step that holds"""
    broken_at: int | None = None
    """number of the first step that does not hold; None where all do"""
    why: str = ""


def record(session: Session, *, who: str, did: str, subject: str = "", **details: Any) -> Step:
    """Add a step within the caller's transaction: it is written if, and only if, what it tells of is.

    Rows of studies are locked before, and never after: two that wait for each other would both have to give up.
    """
    last: Step | None = session.info.get(_LAST)
    if last is None or last not in session:  # undone, with what it told of
        if session.get_bind().dialect.name == "postgresql":
            # SQLite has one writer at a time; here two would take the same number
            session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        session.flush()
        last = session.scalars(select(Step).order_by(Step.number.desc()).limit(1)).first()
    step = Step(
        number=last.number + 1 if last else 1,
        at=now(),
        who=who,
        did=did,
        subject=subject,
        details=details,
        before=last.hash if last else START,
    )
    step.hash = hash_of(step)
    session.add(step)
    session.info[_LAST] = step
    return step


def hash_of(step: Step) -> str:
    """SHA-256 of all that a step says and of the hash before it."""
    said = [step.number, step.at, step.who, step.did, step.subject, step.details, step.before]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify(session: Session) -> Verified:
    """Read the trail from its first step to its last, and check each against the one before it."""
    n, before = 0, START
    while True:
        steps = session.scalars(select(Step).where(Step.number > n).order_by(Step.number).limit(_PIECE)).all()
        if not steps:
            return Verified(n_steps=n, last_hash=before)
        for step in steps:
            why = ""
            if step.number != n + 1:
                why = f"step {n + 1} is missing"
            elif step.before != before:
                why = "it does not follow from the step before it"
            elif step.hash != hash_of(step):
                why = "what it says was changed"
            if why:
                return Verified(n_steps=n, last_hash=before, broken_at=n + 1, why=why)
            n, before = step.number, step.hash
        session.expunge_all()
