"""Holds all that the store keeps against its audit trail."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.errors import ServiceError, SettingsError
from overread.serve.bounded import stream
from overread.serve.following import differing
from overread.serve.store import Store
from overread.serve.tables import Answer, Instance, Reading, Step
from overread.serve.told import Told, added, missing
from overread.serve.trail import Verified, verify

_MOST_FAULTS = 50
_HASH = re.compile(r"[0-9a-fA-F]{8,64}")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was found."""

    n_steps: int
    n_answers: int
    n_readings: int
    n_files: int
    last_hash: str
    faults: tuple[str, ...]
    """what does not hold, in words; the first 50, and then no more is looked for"""


def prove(store: Store, *, expect: str | None = None) -> Proof:
    """Read the trail, and hold all rows and files against it, all at one moment of the store.

    expect: a hash that the trail must contain, or 8 or more of its first digits. SettingsError where it is no hash.
    """
    start = None if expect is None else _checked(expect)
    with store.read() as session:
        if store.engine.dialect.name == "postgresql":  # SQLite reads as of one moment by itself
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        trail, told = verify(session), Told()
        faults = chain(
            _of_trail(session, trail, start),
            missing(session, told),
            added(session, told),
            differing(session, told),
            _files(session, store),
        )
        return Proof(
            n_steps=trail.n_steps,
            n_answers=_count(session, Answer),
            n_readings=_count(session, Reading),
            n_files=_count(session, Instance),
            last_hash=trail.last_hash,
            faults=tuple(islice(_understood(faults), _MOST_FAULTS)),
        )


def _checked(expect: str) -> str:
    if not _HASH.fullmatch(expect):
        raise SettingsError(
            f"--expect {expect[:80]!r} is no hash, nor the start of one: 8 to 64 digits from 0 to 9 and a to f. "
            "Give what an earlier verify printed as its last hash."
        )
    return expect.lower()


def _understood(faults: Iterator[str]) -> Iterator[str]:
    """The faults, up to a row that cannot be understood at all: SQLite keeps any text that is written by hand."""
    try:
        yield from faults
    except (ValueError, TypeError, AttributeError, KeyError) as fault:
        why = type(fault).__name__
        yield f"A row cannot be understood ({why}): it was changed. What comes after it was not looked at."


def _of_trail(session: Session, trail: Verified, start: str | None) -> Iterator[str]:
    if trail.broken_at:
        yield f"Step {trail.broken_at} of the trail: {trail.why}."
    if start and session.scalars(select(Step.number).where(Step.hash.startswith(start)).limit(1)).first() is None:
        yield "The hash that was expected is not in the trail: its end was cut off, or all of it was made anew."


def _count(session: Session, table: type[Answer | Reading | Instance]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def _files(session: Session, store: Store) -> Iterator[str]:
    for uid, sha256 in stream(session, select(Instance.uid, Instance.sha256).order_by(Instance.id)):
        try:
            with store.files.path_of(sha256).open("rb") as file:
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except (FileNotFoundError, ServiceError):  # the latter where this is no hash at all
            yield f"The file of image {uid} is gone."
            continue
        if not is_same:
            yield f"The file of image {uid} was changed."
