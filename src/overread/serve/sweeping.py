"""Removes files of the archive that nothing knows of: what a kill left between a file and its row."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import OverreadError
from overread.serve.archive import is_old
from overread.serve.locks import ROWS, lock
from overread.serve.store import Store
from overread.serve.tables import Instance, Job, Sending
from overread.serve.trail import record

_log = logging.getLogger(__name__)
_PIECE = 500


def sweep(store: Store) -> int:
    """Remove files that are older than a day and neither an image, nor a result, nor an archive that waits.

    Returns how many. They may show patients, and nobody would ever find them again. Nothing is removed where the rows
    are not those of these files: by the database of another store all of them would be unknown.
    """
    if not _belong_together(store):
        return 0
    n, old = 0, store.files.old()
    while some := {path.name: path for path in islice(old, _PIECE)}:
        with store.read() as session:
            if not _unknown(session, some):
                continue
        with store.begin() as session:
            lock(session, ROWS)  # nobody adds a row for one of them meanwhile
            unknown = {name for name in _unknown(session, some) if is_old(some[name])}
            for name in unknown:
                some[name].unlink(missing_ok=True)
            if unknown:
                record(session, who="overread", did="swept", subject=f"{len(unknown)} files", files=sorted(unknown))
            n += len(unknown)
    return n


def sweep_quietly(store: Store) -> None:
    """Sweep, where the database answers and the disk allows it; else the next start will."""
    try:
        if n := sweep(store):
            _log.info("%d files that nothing knew of were removed", n)
    except (OverreadError, OSError) as fault:
        _log.warning("files that nothing knows of may be left: %s", getattr(fault, "kind", type(fault).__name__))


def _belong_together(store: Store) -> bool:
    """Whether the newest image that the database tells of has its file here."""
    with store.read() as session:
        newest = session.scalars(select(Instance.sha256).order_by(Instance.id.desc()).limit(1)).first()
    return newest is not None and store.files.path_of(newest).exists()


def _unknown(session: Session, names: Iterable[str]) -> set[str]:
    left = set(names)
    for column in (Instance.sha256, Sending.sha256):
        left -= set(session.scalars(select(column).where(column.in_(left))))
    if left:
        left -= {name for held in session.scalars(select(Job.held).where(Job.state == "reading")) for name, _ in held}
    return left
