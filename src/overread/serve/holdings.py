"""What the store holds, as DICOM's own attributes: studies, series, and objects, results included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, selectinload

from overread.data.guard import guarded
from overread.errors import ImageError, ServiceError
from overread.serve.archive import Archive
from overread.serve.store import Store
from overread.serve.tables import Instance, Sending, Series, Study

Json = dict[str, Any]
_STUDY, _SERIES, _INSTANCE = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
KEYS = {
    "studies": (_STUDY, "PatientID", "ModalitiesInStudy", "StudyDate"),
    "series": (_STUDY, _SERIES, "Modality"),
    "instances": (_STUDY, _SERIES, _INSTANCE),
}
"""what may be looked for"""
_OTHERS = ("limit", "offset", "includefield", "fuzzymatching")
_DAY = r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])?"
_DATE = re.compile(f"{_DAY}|({_DAY})?-({_DAY})?")
_RESULTS = {"SR": "sr", "OT": "sc"}
"""of which modality results are, and what they are called where they stand in line"""
_AT_ONCE = 500
"""rows in memory, where all results are gone through"""
_REMEMBERED = 20_000
"""results whose headers are kept in memory: a kilobyte each"""
_TAGS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber"]


@dataclass(frozen=True, kw_only=True)
class Held:
    """One DICOM object."""

    study: str
    series: str
    instance: str
    path: Path


def read_query(asked: Mapping[str, str], what: str) -> dict[str, str]:
    """What is looked for, by keyword. what: studies, series or instances.

    Raises ServiceError for what cannot be looked for: who asks for a patient by name must not be given all patients.
    """
    wanted = {}
    for name, value in asked.items():
        keyword = keyword_for_tag(name) if re.fullmatch("[0-9A-Fa-f]{8}", name) else name
        if keyword in _OTHERS or value in ("", "*"):
            continue
        if keyword not in KEYS[what]:
            raise ServiceError(
                f"{what.capitalize()} cannot be looked for by {name[:64]}, only by {', '.join(KEYS[what])}.",
                kind="not-understood",
            )
        wanted[keyword] = value
    if not _DATE.fullmatch(wanted.get("StudyDate", "-")):
        raise ServiceError(
            "StudyDate takes a day (20160815) or two, with - between; months are what is compared.",
            kind="not-understood",
        )
    return wanted


def find_studies(session: Session, store: Store, wanted: Mapping[str, str], *, limit: int, offset: int) -> list[Json]:
    """Studies that fit, the newest first, as attributes by keyword. A patient's ID is looked for by its hash.

    wanted: of `read_query`. A date is looked for by its month: the store keeps no more of it.
    """
    found = select(Study).options(selectinload(Study.series))
    if uids := _uids(wanted, _STUDY):
        found = found.where(Study.uid.in_(uids))
    if patient := wanted.get("PatientID"):
        found = found.where(Study.patient.in_((patient, store.key.hash_patient(patient))))
    if modality := wanted.get("ModalitiesInStudy"):
        has_results = Study.id.in_(select(Sending.study_id).where(Sending.kind == _RESULTS.get(modality, "")))
        found = found.where(or_(Study.series.any(Series.modality == modality), has_results))
    if date := wanted.get("StudyDate"):
        first, is_range, last = date.partition("-")
        last = last if is_range else first
        found = found.where(Study.taken_on != "")
        found = found.where(Study.taken_on >= first[:6]) if first else found
        found = found.where(Study.taken_on <= last[:6]) if last else found
    rows = session.scalars(found.order_by(Study.changed_at.desc(), Study.id).limit(limit).offset(offset)).all()
    results: dict[str, list[Held]] = {study.uid: [] for study in rows}
    for one in _results(session, store.files, {_STUDY: ",".join(results)}) if rows else ():
        results[one.study].append(one)
    return [_study(study, results[study.uid]) for study in rows]


def _study(study: Study, results: list[Held]) -> Json:
    modalities = {series.modality for series in study.series}
    modalities |= {_read_result(one.path)["Modality"] for one in results}
    return {
        "StudyInstanceUID": study.uid,
        "PatientID": study.patient,
        "ModalitiesInStudy": sorted(modalities - {""}),
        "NumberOfStudyRelatedSeries": len(study.series) + len({one.series for one in results}),
        "NumberOfStudyRelatedInstances": study.n_images + len(results),
    }


def find_series(
    session: Session, files: Archive, wanted: Mapping[str, str], *, limit: int, offset: int
) -> list[Json]:
    """Series that fit, as attributes by keyword: those of images, and then those of results."""
    found = _under(select(Series).join(Study), wanted)
    if modality := wanted.get("Modality"):
        found = found.where(Series.modality == modality)
    rows = session.scalars(
        found.options(selectinload(Series.study), selectinload(Series.instances))
        .order_by(Series.id)
        .limit(limit)
        .offset(offset)
    ).all()
    told = [
        {
            "StudyInstanceUID": series.study.uid,
            "SeriesInstanceUID": series.uid,
            "Modality": series.modality,
            "NumberOfSeriesRelatedInstances": len(series.instances),
        }
        for series in rows
    ]
    if len(rows) < limit:
        skip = _beyond(session, found, offset)
        told += islice(_series_of(_results(session, files, wanted)), skip, skip + limit - len(rows))
    return told


def _series_of(results: Iterator[Held]) -> Iterator[Json]:
    for (study, series), some in groupby(results, lambda one: (one.study, one.series)):
        made = list(some)
        yield {
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "Modality": _read_result(made[0].path)["Modality"],
            "NumberOfSeriesRelatedInstances": len(made),
        }


def find_instances(
    session: Session, files: Archive, wanted: Mapping[str, str], *, limit: int, offset: int
) -> list[Json]:
    """Objects that fit, as attributes by keyword: images, and then results."""
    found = _under(select(Instance).join(Series).join(Study), wanted).where(Instance.format == "dicom")
    if uids := _uids(wanted, _INSTANCE):
        found = found.where(Instance.uid.in_(uids))
    rows = session.scalars(
        found.options(selectinload(Instance.series).selectinload(Series.study))
        .order_by(Instance.id)
        .limit(limit)
        .offset(offset)
    ).all()
    told = [
        {
            **_read(files.path_of(row.sha256)),
            "StudyInstanceUID": row.series.study.uid,
            "Rows": row.rows,
            "Columns": row.columns,
            "NumberOfFrames": row.n_frames,
        }
        for row in rows
    ]
    if len(rows) < limit:
        skip = _beyond(session, found, offset)
        results = islice(_results(session, files, wanted), skip, skip + limit - len(rows))
        told += [{**_read_result(one.path), "StudyInstanceUID": one.study} for one in results]
    return told


def _beyond(session: Session, found: Select[Any], offset: int) -> int:
    """How many results an offset skips: images come first."""
    n_images = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    return max(0, offset - n_images)


def held_in(session: Session, files: Archive, study: str, series: str = "", instance: str = "") -> list[Held]:
    """The objects of a study, of a series, or one of them: images in their order, then results."""
    found = select(Instance).join(Series).join(Study).where(Study.uid == study, Instance.format == "dicom")
    if series:
        found = found.where(Series.uid == series)
    if instance:
        found = found.where(Instance.uid == instance)
    rows = session.scalars(
        found.options(selectinload(Instance.series)).order_by(Series.id, Instance.place, Instance.id)
    )
    images = [
        Held(study=study, series=row.series.uid, instance=row.uid, path=files.path_of(row.sha256)) for row in rows
    ]
    wanted = {_STUDY: study, _SERIES: series, _INSTANCE: instance}
    return images + list(_results(session, files, wanted))


def _results(session: Session, files: Archive, wanted: Mapping[str, str]) -> Iterator[Held]:
    """Reports and captures that fit, study by study: each once, wherever it is sent; what is lost is left out.

    Of which series and modality one is stands in its file alone.
    """
    found = select(Study.uid, Sending.uid, func.min(Sending.sha256)).join_from(Sending, Study)
    if uids := _uids(wanted, _STUDY):
        found = found.where(Study.uid.in_(uids))
    if uids := _uids(wanted, _INSTANCE):
        found = found.where(Sending.uid.in_(uids))
    found = found.group_by(Study.id, Study.uid, Sending.uid).order_by(Study.id, func.min(Sending.id))
    series, modality = _uids(wanted, _SERIES), wanted.get("Modality")
    with session.execute(found.execution_options(yield_per=_AT_ONCE)) as rows:
        for study, uid, sha256 in rows:
            path = files.path_of(sha256)
            try:
                told = _read_result(path)
            except ImageError:
                continue
            if (not series or told[_SERIES] in series) and modality in (None, told["Modality"]):
                yield Held(study=study, series=told[_SERIES], instance=uid, path=path)


def _under(found: Select[Any], wanted: Mapping[str, str]) -> Select[Any]:
    if uids := _uids(wanted, _STUDY):
        found = found.where(Study.uid.in_(uids))
    if uids := _uids(wanted, _SERIES):
        found = found.where(Series.uid.in_(uids))
    return found


def _uids(wanted: Mapping[str, str], keyword: str) -> list[str]:
    """UIDs that are asked for; several are divided by commas or backslashes (PS3.18 8.3.4.1)."""
    text = wanted.get(keyword, "")
    return [uid for uid in text.replace("\\", ",").split(",") if uid]


def _read(path: Path) -> Json:
    with guarded(path):
        dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=_TAGS)
    found: Json = {}
    for name in _TAGS:
        with suppress(ImageError), guarded(path):  # one bad value hides no other, and no other object
            if dataset.get(name) is not None:
                found[name] = str(dataset.get(name))
    return found


@lru_cache(maxsize=_REMEMBERED)
def _read_result(path: Path) -> Json:
    """What is told of a result; its file never changes. Raises ImageError where it is lost, or damaged."""
    told = _read(path)
    if not {_SERIES, "Modality"} <= told.keys():
        raise ImageError("A result is damaged.", kind="damaged")
    return told
