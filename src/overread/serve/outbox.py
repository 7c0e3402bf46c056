"""Results that wait to be sent: a line that survives everything, and is worked off until each is taken."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from overread.serve.statuses import Sent
from overread.serve.store import Store
from overread.serve.tables import Sending, now
from overread.serve.trail import record

_log = logging.getLogger(__name__)
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 3600.0
_ON_ITS_WAY = ("waiting", "sending")
_LEASE_S = 300
"""a sending that has not ended after so long belongs to a process that is gone"""


def enqueue(session: Session, *, study_id: int, uid: str, kind: str, sha256: str, destination: str) -> None:
    """Put a result in line for a destination; nothing where it stands in it, or was sent."""
    known = select(Sending.id).where(Sending.destination == destination, Sending.uid == uid)
    if session.scalars(known).first() is None:
        session.add(
            Sending(study_id=study_id, uid=uid, kind=kind, sha256=sha256, destination=destination, next_at=now())
        )


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """Works off the line."""

    store: Store
    send: Callable[[Path, str], Sent]
    """a file, and the destination as it was given"""
    has: Callable[[Path, str], bool]
    """whether a destination has the object of a file: asked where it may have come without our hearing of it"""
    _trouble: dict[str, str] = field(default_factory=dict, init=False)
    """what each destination said last that took nothing"""

    def send_due(
        self, is_over: Callable[[], bool] = lambda: False, *, to: str = "", but: Collection[str] = ()
    ) -> int:
        """Send all whose time has come, one after the other, until it is over; returns how many were taken.

        to: the destination; empty for all `but` these. Several threads may do so: one that is slow holds up no other.
        """
        which = Sending.destination == to if to else Sending.destination.not_in(but)
        n_taken = 0
        while not is_over() and (claimed := self._claim(which)) is not None:
            sending_id, was_uncertain = claimed
            with self.store.read() as session:
                row = session.get_one(Sending, sending_id)
            path = self.store.files.path_of(row.sha256)
            if was_uncertain and self.has(path, row.destination):
                sent = Sent(outcome="taken", said="it was there already")
            else:
                sent = self.send(path, row.destination)
            self._note(sending_id, sent, was_uncertain=was_uncertain)
            self._tell(row.destination, sent)
            n_taken += sent.outcome == "taken"
        return n_taken

    def _claim(self, which: ColumnElement[bool]) -> tuple[int, bool] | None:
        """Take the next one: its ID, and whether an earlier try may have brought it there."""
        with self.store.begin() as session:
            row = session.scalars(
                select(Sending)
                .where(Sending.state.in_(_ON_ITS_WAY), Sending.next_at <= now(), which)
                .order_by(Sending.next_at, Sending.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if row is None:
                return None
            was_uncertain = row.state == "sending"
            row.state, row.next_at = "sending", _later(_LEASE_S)
            row.n_tries += 1
            return row.id, was_uncertain

    def _note(self, sending_id: int, sent: Sent, *, was_uncertain: bool) -> None:
        with self.store.begin() as session:
            row = session.get_one(Sending, sending_id)
            row.last_said = sent.said
            if sent.outcome == "again":
                _put_off(session, row, sent, was_uncertain=was_uncertain)
                return
            row.state = "sent" if sent.outcome == "taken" else "refused"
            row.sent_at = now() if sent.outcome == "taken" else ""
            did = "sent" if sent.outcome == "taken" else "could not send"
            record(session, who="node", did=did, subject=row.uid, to=row.destination, said=sent.said)

    def _tell(self, destination: str, sent: Sent) -> None:
        """Log that a destination takes nothing, or takes again: when that begins or changes its words."""
        name = re.sub(r"^(https?://)[^/]*@", r"\1", destination)  # an address may hold a password
        before = self._trouble.pop(destination, None)
        if sent.outcome != "taken":
            self._trouble[destination] = sent.said
            if sent.said != before:
                _log.warning("%s takes no results: %s", name, sent.said)
        elif before is not None:
            _log.info("%s takes results again", name)

    def release(self) -> None:
        """Give back what is marked as being sent: for the only process that sends, when it starts."""
        with self.store.begin() as session:
            session.execute(update(Sending).where(Sending.state == "sending").values(next_at=now()))


def _put_off(session: Session, row: Sending, sent: Sent, *, was_uncertain: bool) -> None:
    """Let a result wait, and all others for its destination where that is away, or nothing was heard from it.

    One try finds out whether it is back. It may lie with this object that nothing was heard: its own wait grows with
    its tries, that of the others only with the number of such objects, so that they come to be tried before it.
    was_uncertain: whether an earlier try may have brought it there; that this one did not is no word on that.
    """
    row.state = "sending" if sent.uncertain or was_uncertain else "waiting"
    row.next_at = _later(_wait_s(row.n_tries))
    until = _later(_wait_s(_n_unheard_of(session, row.destination))) if sent.uncertain else row.next_at
    if sent.uncertain or sent.away:
        others = select(Sending.id).where(
            Sending.destination == row.destination, Sending.state.in_(_ON_ITS_WAY), Sending.next_at < until
        )
        # what another process is writing of is left to it: two that wait for each other would be given up
        unlocked = others.with_for_update(skip_locked=True)
        session.execute(
            update(Sending).where(Sending.id.in_(unlocked)).values(next_at=until),
            execution_options={"synchronize_session": False},
        )


def _n_unheard_of(session: Session, destination: str) -> int:
    """Of how many objects it is not known whether they came."""
    asked = select(func.count()).where(Sending.destination == destination, Sending.state == "sending")
    return session.scalars(asked).one()


def _wait_s(n_tries: int) -> float:
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(n_tries - 1, 12)) * random.uniform(0.8, 1.2)


def _later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
