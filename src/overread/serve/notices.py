"""What peers say of studies: that all images of one have been sent (Instance Availability Notification, PS3.4 R)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.serve.tables import Instance, Series, Study

_MOST = 1000


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
        """Keep a notice; a later one of the same study takes its place."""
        with self._lock:
            self._kept.pop(notice.study, None)
            self._kept[notice.study] = notice
            while len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]

    def forget(self, study: str) -> None:
        """Let go of what has been acted upon."""
        with self._lock:
            self._kept.pop(study, None)

    def complete(self, session: Session) -> list[str]:
        """UIDs of the studies of which all images that were told of have come."""
        with self._lock:
            kept = list(self._kept.values())
        return [notice.study for notice in kept if notice.images <= _images(session, notice.study)]


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
