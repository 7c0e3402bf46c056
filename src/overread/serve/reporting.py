"""A study that is complete and answered becomes results, and these are put in line to be sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from overread.data.dicom import load
from overread.data.guard import guarded
from overread.data.image import read_image
from overread.data.placing import onto_image, place
from overread.data.window import own_brightness
from overread.errors import ImageError, OverreadError
from overread.explain.where import evidence_for
from overread.predict import caveat, percent
from overread.report.heat import Told, draw_sheet
from overread.serve.model import ServedModel, unpack_maps
from overread.serve.notices import Notices
from overread.serve.outbox import enqueue
from overread.serve.results import Answered, ModelSaid, digest, make_capture, make_report, name_of, to_bytes
from overread.serve.sources import repeatable
from overread.serve.store import Store
from overread.serve.summary import n_silent, silence
from overread.serve.tables import Answer, Instance, Series, Study
from overread.serve.trail import record

_log = logging.getLogger(__name__)
TRY_AGAIN_S = 600
MOST_TOGETHER = 500
"""frames of one report: one of a frame takes a third of a megabyte of memory while it is made"""
_NUMBERS = ("Modality", "SOPClassUID", "SeriesNumber", "InstanceNumber")
"""what a report tells of an image, the patient and the study apart"""
_ITS_OWN = (*_NUMBERS, "SOPInstanceUID", "SeriesInstanceUID", "NumberOfFrames")


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Makes the results of studies."""

    store: Store
    model: ServedModel
    destinations: tuple[str, ...]
    quiet_s: float
    """a study is complete when no image of it came for so long"""
    notices: Notices = field(default_factory=Notices)
    """or when all images that its sender told of have come"""
    _left_out: dict[tuple[int, str], float] = field(default_factory=dict)
    """studies of which no results can be made, as they are, and when that is tried again"""

    def report_due(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Report all studies that are complete, answered and not reported, until it is over; returns how many.

        Nothing is made where it would go nowhere: a node that is told of a destination later makes up for it.
        """
        if not self.destinations:
            return 0
        before = (datetime.now(UTC) - timedelta(seconds=self.quiet_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self.store.read() as session:
            due = session.execute(
                select(Study.id, Study.uid, Study.changed_at)
                .where(Study.n_answered == Study.n_images, Study.n_reported != Study.n_images)
                .where(or_(Study.changed_at <= before, Study.uid.in_(self.notices.complete(session))))
                .order_by(Study.changed_at)
            ).all()
        n_reported = 0
        for study_id, uid, changed_at in due:
            if is_over():
                break
            again_at = self._left_out.get((study_id, changed_at))
            if again_at is not None and time.monotonic() < again_at:
                continue
            try:
                n_reported += self._report(study_id, is_over)
            except Exception as fault:
                if not _is_of_the_study(fault):
                    raise
                _log.exception("a study has no results after a fault of overread, or of a file in the archive")
                self._left_out[study_id, changed_at] = time.monotonic() + TRY_AGAIN_S
                if again_at is None:
                    self._tell_of(uid, type(fault).__name__)
            self.notices.forget(uid)
        return n_reported

    def _tell_of(self, uid: str, fault: str) -> None:
        """Say in the audit trail that a study has no results."""
        with self.store.begin() as session:
            record(session, who="model", did="not reported", subject=uid, fault=fault, model=self.model.sha256)

    def _report(self, study_id: int, is_over: Callable[[], bool]) -> bool:
        """Make the results of one study and put them in line, in one transaction: all, or none; returns whether.

        Each result is on the disk before the next is made: a study may have thousands of images.
        """
        made: list[tuple[str, str, Path]] = []
        with ExitStack() as stack:
            with self.store.read() as session:
                study = _whole(session, study_id)
                n_images, changed_at = study.n_images, study.changed_at
                for kind, result in self._make(study):
                    if is_over() or self._has_changed(study_id, changed_at):
                        return False
                    path = stack.enter_context(self.store.files.receiving())
                    path.write_bytes(to_bytes(result))
                    made.append((kind, str(result.SOPInstanceUID), path))
            kept = [(kind, uid, self.store.files.keep(path)) for kind, uid, path in made]
        with self.store.begin() as session:
            study = session.get_one(Study, study_id, with_for_update=True)
            if study.n_reported == study.n_images or study.changed_at != changed_at:
                return False  # another process was quicker, or more images have come
            study.n_reported = n_images
            for kind, uid, sha256 in kept:
                for destination in self.destinations:
                    enqueue(session, study_id=study_id, uid=uid, kind=kind, sha256=sha256, destination=destination)
            names = [f"{kind} {uid}" for kind, uid, _ in kept]
            record(session, who="model", did="reported", subject=study.uid, results=names, model=self.model.sha256)
        return True

    def _has_changed(self, study_id: int, changed_at: str) -> bool:
        with self.store.read() as session:
            return session.scalars(select(Study.changed_at).where(Study.id == study_id)).one() != changed_at

    def _make(self, study: Study) -> Iterator[tuple[str, Dataset]]:
        """Reports of all answers, and of each series a capture of the image that speaks most for the class."""
        found = [self._answers(series) for series in study.series]
        said = [one for series in found for one in series]
        if not said:
            return
        model, at = self._said(), _time(study.changed_at)
        # an image without a patient's ID may have joined the others of its study
        whose = self._header(next((image for image, _, header in said if header.PatientID), said[0][0]))
        answers = digest([_answered(header, answer) for _, answer, header in said])
        for number, start in enumerate(range(0, len(said), MOST_TOGETHER), start=1):
            some = [_answered(header, answer) for _, answer, header in said[start : start + MOST_TOGETHER]]
            some[0] = replace(some[0], dataset=_of_patient(whose, some[0].dataset))
            yield "sr", make_report(some, model, at=at, number=number, answers=answers)
        for number, series in enumerate(filter(None, found), start=1):
            image, answer, header = max(series, key=lambda one: one[1].probabilities.get(study.label, 0.0))
            try:
                sheet = self._sheet(image, answer, _of_study(study, name_of(header, answer.frame)))
            except ImageError:
                continue
            source = _of_patient(whose, header)
            yield "sc", make_capture(source, sheet, model, at=at, number=number, answers=answers)

    def _answers(self, series: Series) -> list[tuple[Instance, Answer, Dataset]]:
        """What this model says of the DICOM images of a series, with what a report tells of each."""
        found: list[tuple[Instance, Answer, Dataset]] = []
        for image in series.instances:
            if image.format != "dicom":
                continue
            answers = [one for one in image.predictions if one.model == self.model.sha256 and not one.problem]
            if answers and (source := self._header(image, only=(*_NUMBERS, "PatientID"))) is not None:
                found += [(image, answer, source) for answer in answers]
        return found

    def _header(self, image: Instance, *, only: Sequence[str] = ()) -> Dataset | None:
        """An image's header as results may repeat it; None for a class that they cannot refer to."""
        path = self.store.files.path_of(image.sha256)
        with guarded(path):
            header = load(path, pixels=False, specific_tags=list(only) or None)
        series = image.series
        return repeatable(
            header, study=series.study.uid, series=series.uid, instance=image.uid, n_frames=image.n_frames
        )

    def _said(self) -> ModelSaid:
        card = self.model.card
        return ModelSaid(
            name=self.model.name,
            sha256=self.model.sha256,
            classes=card.classes,
            intended_use=card.intended_use,
            marks=card.marks,
        )

    def _sheet(self, image: Instance, answer: Answer, of_study: tuple[str, str]) -> NDArray[np.uint8]:
        """The image, and beside it the evidence for its class: (rows, columns, 3) uint8.

        of_study: which image it is, and what is said of the whole study.
        """
        card = self.model.card
        found = read_image(self.store.files.path_of(image.sha256), frame=answer.frame)
        maps = None if self.model.failed else unpack_maps(answer.maps, answer.maps_shape)
        heat = None
        if maps is not None:
            rows, columns = found.pixels.shape[:2]
            evidence = evidence_for(maps, card.classes.index(answer.label))
            heat = onto_image(evidence, place(rows, columns, side_px=card.image.size_px, fit=card.image.fit))
        silent = answer.abstains
        likeliest = f"Likeliest class: {answer.label}, {percent(answer.probabilities[answer.label])}"
        which, whole = of_study
        lines = (whole, self.model.on_heat, f"overread, model {self.model.name}", card.intended_use)
        told = Told(
            title=f"No answer: {silent}" if silent else likeliest,
            lines=tuple(filter(None, lines)),
            alone=which,
            probabilities=answer.probabilities,
            caveat=caveat(silent) if silent else "",
            covered=f"evidence for {answer.label}{', which is no answer' if silent else ''}",
            toward=found.header.tags.get("toward", ""),
            marks=("Research use, not a medical device.", *card.marks),
        )
        return draw_sheet(own_brightness(found), heat, told)


def _is_of_the_study(fault: Exception) -> bool:
    """Whether it is this study's alone, and those behind it must not wait; else the disk or the database is away."""
    return isinstance(fault, ImageError) or not isinstance(
        fault, OSError | MemoryError | OverreadError | SQLAlchemyError
    )


def _whole(session: Session, study_id: int) -> Study:
    return session.scalars(
        select(Study)
        .where(Study.id == study_id)
        .options(selectinload(Study.series).selectinload(Series.instances).selectinload(Instance.predictions))
    ).one()


def _of_patient(whose: Dataset | None, header: Dataset) -> Dataset:
    """A header with the patient and the study of another of its study, and with its own UIDs and numbers."""
    made = Dataset()
    made.update(whose or header)
    for name in _ITS_OWN:
        if name in header:
            made[name] = header[name]
        elif name in made:
            del made[name]
    return made


def _answered(header: Dataset, answer: Answer) -> Answered:
    return Answered(
        dataset=header,
        frame=answer.frame,
        label=answer.label,
        probabilities=answer.probabilities,
        classes=tuple(answer.classes),
        abstains=answer.abstains,
    )


def _of_study(study: Study, image: str) -> tuple[str, str]:
    """Which image a sheet shows, and what is said of the whole study."""
    n, silent = study.n_frames, n_silent(study)
    if study.abstains:
        return image, f"The whole study: no answer: {silence(study)}."
    but = f", no answer for {silent} of them" if silent else ""
    whole = f"The whole study: {study.label} (mean probability {percent(study.probability)} over {n} images{but})."
    return f"{image} (speaks most for {study.label})", whole


def _time(at: str) -> datetime:
    return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
