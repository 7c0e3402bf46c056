"""What the store holds, as DICOM's own attributes: studies, series, and objects, results included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, selectinload

from overread.data.guard import guarded
from overread.errors import ImageError, ServiceError
from overread.serve.archive import Archive
from overread.serve.identity import SiteKey
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
_DATE = re.compile(r"\d{6}(\d\d)?|(\d{6}(\d\d)?)?-(\d{6}(\d\d)?)?")
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


def find_studies(session: Session, key: SiteKey, wanted: Mapping[str, str], *, limit: int, offset: int) -> list[Json]:
    """Studies that fit, the newest first, as attributes by keyword. A patient's ID is looked for by its hash.

    wanted: of `read_query`. A date is looked for by its month: the store keeps no more of it.
    """
    found = select(Study).options(selectinload(Study.series))
    if uids := _uids(wanted, _STUDY):
        found = found.where(Study.uid.in_(uids))
    if patient := wanted.get("PatientID"):
        found = found.where(Study.patient.in_((patient, key.hash_patient(patient))))
    if modality := wanted.get("ModalitiesInStudy"):
        found = found.where(Study.series.any(Series.modality == modality))
    if date := wanted.get("StudyDate"):
        first, is_range, last = date.partition("-")
        last = last if is_range else first
        found = found.where(Study.taken_on != "")
        found = found.where(Study.taken_on >= first[:6]) if first else found
        found = found.where(Study.taken_on <= last[:6]) if last else found
    rows = session.scalars(found.order_by(Study.changed_at.desc(), Study.id).limit(limit).offset(offset))
    return [
        {
            "StudyInstanceUID": study.uid,
            "PatientID": study.patient,
            "ModalitiesInStudy": sorted({series.modality for series in study.series if series.modality}),
            "NumberOfStudyRelatedSeries": len(study.series),
            "NumberOfStudyRelatedInstances": study.n_images,
        }
        for study in rows
    ]


def find_series(session: Session, wanted: Mapping[str, str], *, limit: int, offset: int) -> list[Json]:
    """Series that fit, as attributes by keyword."""
    found = select(Series).join(Study).options(selectinload(Series.study), selectinload(Series.instances))
    if modality := wanted.get("Modality"):
        found = found.where(Series.modality == modality)
    rows = session.scalars(_under(found, wanted).order_by(Series.id).limit(limit).offset(offset))
    return [
        {
            "StudyInstanceUID": series.study.uid,
            "SeriesInstanceUID": series.uid,
            "Modality": series.modality,
            "NumberOfSeriesRelatedInstances": len(series.instances),
        }
        for series in rows
    ]


def find_instances(
    session: Session, files: Archive, wanted: Mapping[str, str], *, limit: int, offset: int
) -> list[Json]:
    """Objects that fit, as attributes by keyword; after the images of a study, its results."""
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
    if len(rows) < limit and (study := wanted.get("StudyInstanceUID")):
        told += [
            {**_read(held.path), "StudyInstanceUID": study}
            for held in _results(session, files, study, wanted.get("SeriesInstanceUID", ""), "")
            if not uids or held.instance in uids
        ]
    return told


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
    return images + _results(session, files, study, series, instance)


def _results(session: Session, files: Archive, study: str, series: str, instance: str) -> list[Held]:
    """Reports and captures of a study: each once, wherever they are sent."""
    rows = session.execute(select(Sending.uid, Sending.sha256).join(Study).where(Study.uid == study).distinct())
    found = []
    for uid, sha256 in rows:
        path = files.path_of(sha256)
        own = str(_read(path)["SeriesInstanceUID"])
        if series in ("", own) and instance in ("", uid):
            found.append(Held(study=study, series=own, instance=uid, path=path))
    return found


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
