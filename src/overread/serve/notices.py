"""What peers say of studies: that all images of one have been sent (Instance Availability Notification, PS3.4 R)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.serve.tables import Instance, Series, Study

_MOST, _MOST_IMAGES = 1000, 100_000
"""notices that are kept, and images of all of them: some megabytes"""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """The images that a study consists of, in the eyes of who sent it."""

    study: str
    images: frozenset[str]


@dataclass(frozen=True)
class Notices:
    """Those that have not been acted upon. They are kept in memory: where one is lost, quiet time does its work."""

    _kept: dict[str, Notice] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, notice: Notice) -> None:
        """Keep a notice, and let the oldest go for it; a later one of the same study takes its place."""
        with self._lock:
            self._kept.pop(notice.study, None)
            self._kept[notice.study] = notice
            while len(self._kept) > _MOST or sum(len(one.images) for one in self._kept.values()) > _MOST_IMAGES:
                del self._kept[next(iter(self._kept))]

    def forget(self, study: str) -> None:
        """Let go of what has been acted upon."""
        with self._lock:
            self._kept.pop(study, None)

    def complete(self, session: Session) -> list[str]:
        """UIDs of the studies of which all images that were told of have come."""
        with self._lock:
            kept = dict(self._kept)
        of_kept = select(Study.uid, Study.n_images).where(Study.uid.in_(kept)) if kept else None
        found = session.execute(of_kept).all() if of_kept is not None else []
        return [uid for uid, n in found if n >= len(kept[uid].images) and kept[uid].images <= _images(session, uid)]


def read_notice(told: Dataset) -> Notice | None:
    """What a notification tells of (PS3.4 Table R.3.2-1); None where it names no study or no image."""
    study = str(told.get("StudyInstanceUID") or "")
    images = frozenset(
        str(image.get("ReferencedSOPInstanceUID") or "")
        for series in told.get("ReferencedSeriesSequence") or []
        for image in series.get("ReferencedSOPSequence") or []
    )
    return Notice(study=study, images=images) if study and images and "" not in images else None


def _images(session: Session, study: str) -> set[str]:
    found = select(Instance.uid).join(Instance.series).join(Series.study).where(Study.uid == study)
    return set(session.scalars(found))
