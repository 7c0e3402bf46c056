"""Which process predicts which image: each is claimed by one, for a while, or until that process is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.orm import Session

from overread.serve.store import Store
from overread.serve.tables import Instance, now

_PIECE = 8
"""images that are claimed, predicted and written together"""
_CLAIM_S = 300


@dataclass(frozen=True)
class Claimed:
    """An image that is this process's to predict."""

    id: int
    uid: str
    sha256: str
    n_frames: int


class Claims:
    """What one process claims. Several threads may."""

    def __init__(self, store: Store) -> None:
        self._store, self._me = store, store.files.name
        self._owed, self._lock_owed = set[int](), threading.Lock()
        """images that were claimed here, and whose answers could not be written"""
        self._renew_at, self._lock_renewal = time.monotonic() + _CLAIM_S / 2, threading.Lock()

    def take(self) -> list[Claimed]:
        """Take the images that have waited longest, so that no other process predicts them too."""
        at, until = now(), _later(_CLAIM_S)
        with self._taking_owed() as owed, self._store.begin() as session:
            if owed:
                self._free(session, Instance.id.in_(owed), self._me)
            claimed = [
                Claimed(*row)
                for row in session.execute(
                    select(Instance.id, Instance.uid, Instance.sha256, Instance.n_frames)
                    .where(Instance.state == "waiting", Instance.claimed_until < at)
                    .order_by(Instance.id)
                    .limit(_PIECE)
                    .with_for_update(skip_locked=True)
                )
            ]
            ids = [image.id for image in claimed]
            if ids:
                session.execute(
                    update(Instance).where(Instance.id.in_(ids)).values(claimed_by=self._me, claimed_until=until)
                )
            return claimed

    def keep(self) -> None:
        """Renew what is claimed here, when half of its time may be over: whoever is still at work says so often."""
        with self._lock_renewal:
            if time.monotonic() < self._renew_at:
                return
            self._renew_at = time.monotonic() + _CLAIM_S / 2
        mine = select(Instance.id).where(Instance.state == "waiting", Instance.claimed_by == self._me)
        # what another thread is ending is left to it: two that wait for each other would be given up
        unlocked = mine.with_for_update(skip_locked=True, key_share=True)
        with self._store.begin() as session:
            session.execute(
                update(Instance).where(Instance.id.in_(unlocked)).values(claimed_until=_later(_CLAIM_S)),
                execution_options={"synchronize_session": False},
            )

    @contextmanager
    def _taking_owed(self) -> Iterator[set[int]]:
        """Lend the images that are to be claimed anew, to one thread alone; they are owed still where that fails."""
        with self._lock_owed:
            owed, self._owed = self._owed, set()
        try:
            yield owed
        except BaseException:
            self.owe(owed)
            raise

    def owe(self, ids: Iterable[int]) -> None:
        """Have images claimed anew whose answers could not be written."""
        with self._lock_owed:
            self._owed.update(ids)

    def free_what_is_left(self) -> None:
        """Give back what processes were predicting that are gone: nobody has to wait until their claims run out."""
        with self._store.begin() as session:
            claims = select(Instance.claimed_by).where(Instance.state == "waiting", Instance.claimed_by != "")
            for name in session.scalars(claims.distinct()).all():
                if not self._store.files.is_alive(name):
                    self._free(session, true(), name)

    def _free(self, session: Session, which: ColumnElement[bool], by: str) -> None:
        session.execute(
            update(Instance)
            .where(Instance.state == "waiting", Instance.claimed_by == by, which)
            .values(claimed_by="", claimed_until="")
        )

    def give_back(self) -> None:
        """Let others have what is claimed here."""
        with self._store.begin() as session:
            self._free(session, true(), self._me)


def _later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
