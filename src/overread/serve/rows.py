"""The rows that an upload has to do with: those that are there, found in one go, and those that it adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import BindParameter, bindparam, insert, select
from sqlalchemy.orm import Session

from overread.serve.locks import ROWS, lock
from overread.serve.tables import Instance, Series, Study

# statements that are made once: making one takes as long as asking the database
_ASKED: BindParameter[Any] = bindparam("uids", expanding=True)
_STUDIES = select(Study).where(Study.uid.in_(_ASKED)).order_by(Study.id).with_for_update()
_SERIES = select(Series).where(Series.uid.in_(_ASKED))
_INSTANCES = (
    select(Instance.uid, Study.uid, Instance.sha256)
    .join(Instance.series)
    .join(Series.study)
    .where(Instance.uid.in_(_ASKED))
)


class Named(Protocol):
    """What has the UIDs of an image."""

    @property
    def study(self) -> str:
        """Study Instance UID."""

    @property
    def series(self) -> str:
        """Series Instance UID."""

    @property
    def instance(self) -> str:
        """SOP Instance UID."""


@dataclass(frozen=True)
class There:
    """What is known of an image that is there."""

    study: str
    """its study's UID"""
    sha256: str


class Rows:
    """Studies, series and instances by their UIDs, as they stay until the session's transaction ends."""

    def __init__(self, session: Session, files: Sequence[Named]) -> None:
        self._session = session
        self._new: list[tuple[Series, dict[str, Any]]] = []
        self.studies: dict[str, Study] = {}
        self.series: dict[str, Series] = {}
        self.instances: dict[str, There] = {}
        if files:
            lock(session, ROWS)  # two would add the same study
            self._find(files)

    def _find(self, files: Sequence[Named]) -> None:
        studies = {"uids": list({file.study for file in files})}
        series = {"uids": list({file.series for file in files})}
        instances = {"uids": list({file.instance for file in files})}
        self.studies = {row.uid: row for row in self._session.scalars(_STUDIES, studies)}
        self.series = {row.uid: row for row in self._session.scalars(_SERIES, series)}
        self.instances = {uid: There(*more) for uid, *more in self._session.execute(_INSTANCES, instances)}

    def add_study(self, **values: Any) -> Study:
        """A study that is not there yet."""
        study = self.studies[values["uid"]] = Study(sums={}, n_images=0, **values)
        self._session.add(study)
        return study

    def add_series(self, **values: Any) -> Series:
        """A series that is not there yet."""
        series = self.series[values["uid"]] = Series(**values)
        self._session.add(series)
        return series

    def add_instance(self, *, series: Series, **values: Any) -> None:
        """An image that is not there yet."""
        self._new.append((series, values))
        self.instances[values["uid"]] = There(study=series.study.uid, sha256=values["sha256"])

    def write(self) -> None:
        """Write what was added."""
        self._session.flush()
        if self._new:
            self._session.execute(
                insert(Instance), [{"series_id": series.id, **values} for series, values in self._new]
            )
