"""What the store holds, as DICOM's own attributes: studies, series, and objects, results included."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, selectinload

from overread.data.guard import guarded
from overread.errors import ImageError
from overread.serve.archive import Archive
from overread.serve.identity import SiteKey
from overread.serve.tables import Instance, Sending, Series, Study

Json = dict[str, Any]
_TAGS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber"]


@dataclass(frozen=True, kw_only=True)
class Held:
    """One DICOM object."""

    study: str
    series: str
    instance: str
    path: Path


def find_studies(session: Session, key: SiteKey, wanted: Mapping[str, str], *, limit: int, offset: int) -> list[Json]:
    """Studies that fit, the newest first, as attributes by keyword. A patient's ID is looked for by its hash."""
    found = select(Study).options(selectinload(Study.series))
    if uids := _uids(wanted, "StudyInstanceUID", "0020000D"):
        found = found.where(Study.uid.in_(uids))
    if patient := wanted.get("PatientID") or wanted.get("00100020"):
        found = found.where(Study.patient.in_((patient, key.hash_patient(patient))))
    if modality := wanted.get("ModalitiesInStudy") or wanted.get("00080061"):
        found = found.where(Study.series.any(Series.modality == modality))
    if date := wanted.get("StudyDate") or wanted.get("00080020"):
        found = found.where(Study.taken_on == date[:6])
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
    if modality := wanted.get("Modality") or wanted.get("00080060"):
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
    if uids := _uids(wanted, "SOPInstanceUID", "00080018"):
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
    if uids := _uids(wanted, "StudyInstanceUID", "0020000D"):
        found = found.where(Study.uid.in_(uids))
    if uids := _uids(wanted, "SeriesInstanceUID", "0020000E"):
        found = found.where(Series.uid.in_(uids))
    return found


def _uids(wanted: Mapping[str, str], keyword: str, tag: str) -> list[str]:
    """UIDs that are asked for; several are divided by commas or backslashes (PS3.18 8.3.4.1)."""
    text = wanted.get(keyword) or wanted.get(tag) or ""
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
