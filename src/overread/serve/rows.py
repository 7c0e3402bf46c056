"""The rows that an upload has to do with: those that are there, found in one go, and those that it adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from overread.serve.tables import Instance, Series, Study

_LOCK = 0x726F7773


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


class Rows:
    """Studies, series and instances by their UIDs, as they stay until the session's transaction ends."""

    def __init__(self, session: Session, files: Sequence[Named]) -> None:
        self._session = session
        if files and session.get_bind().dialect.name == "postgresql":
            # SQLite has one writer at a time; here two would add the same study
            session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        studies = select(Study).where(Study.uid.in_({file.study for file in files})).order_by(Study.id)
        series = select(Series).where(Series.uid.in_({file.series for file in files}))
        instances = select(Instance).where(Instance.uid.in_({file.instance for file in files}))
        self.studies = {row.uid: row for row in session.scalars(studies.with_for_update())} if files else {}
        self.series = {row.uid: row for row in session.scalars(series)} if files else {}
        self.instances = {row.uid: row for row in session.scalars(instances)} if files else {}

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

    def add_instance(self, **values: Any) -> Instance:
        """An image that is not there yet."""
        instance = self.instances[values["uid"]] = Instance(**values)
        self._session.add(instance)
        return instance
