"""The one way in: a file becomes an image of the store, or a sentence that says why not. For every door the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.data.pixels import Header
from overread.errors import ImageError, ServiceError
from overread.serve.gathering import Gathering
from overread.serve.limits import OWN_RESULT, IntakeSettings, read_allowed
from overread.serve.rows import Rows
from overread.serve.store import Store
from overread.serve.tables import Instance, Sending, Study, now
from overread.serve.trail import record

_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")
"""the form alone: pseudonymisers and old scanners make UIDs without a root, and with zeros in front"""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A file that has come in, and lies in the archive's incoming folder."""

    path: Path
    name: str
    """what its sender calls it: shown back to the sender, kept nowhere"""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of it."""

    name: str
    instance: str = ""
    """UID of the image; empty where it was refused"""
    study: str = ""
    is_new: bool = False
    problem: ImageError | ServiceError | None = None

    @property
    def is_own_result(self) -> bool:
        """Whether it was left out for being a result of overread's: a PACS that sends it back did nothing wrong."""
        return self.problem is not None and self.problem.kind == OWN_RESULT


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A file that has been looked at, and lies in the archive."""

    arrived: Arrived
    header: Header
    sha256: str
    n_bytes: int
    study: str
    series: str
    instance: str


@dataclass(frozen=True, kw_only=True)
class _Upload:
    looked: list[_Known | Taken]
    came_by: str
    who: str
    then: Callable[[Session, list[Taken]], None] | None


class Intake:
    """Takes files in."""

    def __init__(self, store: Store, settings: IntakeSettings | None = None) -> None:
        self.store, self.settings = store, settings or IntakeSettings()
        self._gathering: Gathering[_Upload, list[Taken]] = Gathering(self._write)

    def take(
        self,
        files: Sequence[Arrived],
        *,
        came_by: str,
        who: str,
        together: str = "",
        then: Callable[[Session, list[Taken]], None] | None = None,
    ) -> list[Taken]:
        """Take files over into the store, all of them or none; those that cannot be used are told with the reason.

        When this returns, what was taken survives a power cut. A file that is there already is not taken twice.
        came_by: page, rest, stow or c-store. together: the study that pictures without one of their own belong to.
        then: what else is to be written, in the same transaction, which others' files may be part of. Raises
        ServiceError where the store is full or away, and then nothing was taken.
        """
        return self._gathering.do(
            lambda: _Upload(
                looked=[self._look(file, together) for file in files], came_by=came_by, who=who, then=then
            )
        )

    def _write(self, uploads: Sequence[_Upload]) -> list[list[Taken]]:
        """Write the rows of what several senders have handed in, in one transaction."""
        known = [one for upload in uploads for one in upload.looked if isinstance(one, _Known)]
        if not known and all(upload.then is None for upload in uploads):
            return [[one for one in upload.looked if isinstance(one, Taken)] for upload in uploads]
        with self.store.begin() as session:
            rows = Rows(session, known)
            found = [self._write_one(session, rows, upload) for upload in uploads]
            rows.write()
            self._let_go(session, {one.sha256 for one in known} - {one.sha256 for one in rows.instances.values()})
            return found

    def _let_go(self, session: Session, refused: set[str]) -> None:
        """Remove files that came into the archive and are nobody's; while this lasts nobody else writes rows."""
        if not refused:
            return
        held = select(Instance.sha256).where(Instance.sha256.in_(refused))
        results = select(Sending.sha256).where(Sending.sha256.in_(refused))
        for sha256 in refused - set(session.scalars(held.union(results))):
            self.store.files.path_of(sha256).unlink(missing_ok=True)

    def _write_one(self, session: Session, rows: Rows, upload: _Upload) -> list[Taken]:
        found = [one if isinstance(one, Taken) else self._enter(rows, one, upload.came_by) for one in upload.looked]
        new = [
            (one.instance, one.sha256, one.series, one.study)  # what `store verify` holds the image's row against
            for one, taken in zip(upload.looked, found, strict=True)
            if isinstance(one, _Known) and taken.is_new
        ]
        if new:
            words = f"{len(new)} images"
            record(session, who=upload.who, did="received", subject=words, by=upload.came_by, images=new)
        if upload.then is not None:
            upload.then(session, found)
        return found

    def _look(self, file: Arrived, together: str) -> _Known | Taken:
        """Check what a file says of itself, and move it into the archive."""
        try:
            header = read_allowed(file.path, self.settings)
            n_bytes = file.path.stat().st_size
            sha256 = self.store.files.keep(file.path)
            instance = _uid(header.instance, "SOP Instance UID") or _made_up(sha256)
            study = _uid(header.study, "Study Instance UID") or self._made_up_study(header, together, sha256)
            return _Known(
                arrived=file,
                header=header,
                sha256=sha256,
                n_bytes=n_bytes,
                instance=instance,
                study=study,
                series=_uid(header.series, "Series Instance UID") or _made_up(study + "series"),
            )
        except (ImageError, ServiceError) as fault:
            if isinstance(fault, ServiceError) and fault.status >= 500:  # not the file's fault
                raise
            return Taken(name=file.name, problem=_named(fault, file))

    def _made_up_study(self, header: Header, together: str, sha256: str) -> str:
        """A study for what has none of its own: its upload, or of that what is the same patient's."""
        if not together:
            return _made_up(sha256 + "study")
        patient = self.store.key.hash_patient(header.patient)
        return _made_up(together + patient) if patient else together

    def _enter(self, rows: Rows, file: _Known, came_by: str) -> Taken:
        name, there = file.arrived.name, rows.instances.get(file.instance)
        if there is not None:
            if there.sha256 == file.sha256:
                return Taken(name=name, instance=file.instance, study=there.study)
            return Taken(name=name, problem=_other_content(name))
        series = rows.series.get(file.series)
        if series is not None and series.study.uid != file.study:
            return Taken(name=name, problem=_other_study(name))
        study = rows.studies.get(file.study)
        if study is not None and not self._is_of(study, file.header.patient):
            return Taken(name=name, problem=_other_patient(name))
        if not self.store.files.path_of(file.sha256).exists():
            return Taken(name=name, problem=_let_go_meanwhile(name))
        self._add(rows, file, came_by)
        return Taken(name=name, instance=file.instance, study=file.study, is_new=True)

    def _add(self, rows: Rows, file: _Known, came_by: str) -> None:
        header, tags, at = file.header, file.header.tags, now()
        study = rows.studies.get(file.study) or rows.add_study(
            uid=file.study,
            patient="",
            description=_plain(tags.get("body_part", "")),
            taken_on=tags.get("month", ""),
            received_at=at,
        )
        study.patient = study.patient or self._patient(header.patient)
        study.changed_at = at
        study.n_images += 1
        series = rows.series.get(file.series) or rows.add_series(
            uid=file.series, study=study, modality=_plain(tags.get("modality", ""))[:16]
        )
        rows.add_instance(
            uid=file.instance,
            series=series,
            sha256=file.sha256,
            format=header.format,
            n_bytes=file.n_bytes,
            n_frames=header.n_frames,
            rows=header.rows,
            columns=header.columns,
            place=_place(tags.get("position_mm") or tags.get("slice")),
            came_by=came_by,
            received_at=at,
        )

    def _patient(self, patient: str | None) -> str:
        """A patient's ID as the store keeps it."""
        return _kept(patient) if self.settings.keep_patient_ids else self.store.key.hash_patient(patient)

    def _is_of(self, study: Study, patient: str | None) -> bool:
        """Whether a study can be this patient's; its row may be of a time when IDs were kept otherwise."""
        hashed = self.store.key.hash_patient(patient)
        return not (study.patient and hashed) or study.patient in (hashed, _kept(patient))


def _kept(patient: str | None) -> str:
    return _plain(patient or "")[:64]


def _uid(text: str | None, what: str) -> str:
    """A UID as it stands; empty where there is none. It is never made into a path, and has to be one all the same."""
    text = (text or "").strip()
    if text and not _UID.fullmatch(text):
        raise ImageError(
            f"Its {what} is no UID: numbers with dots between, at most 64 characters (PS3.5 9.1). Export it again.",
            kind="bad-uid",
        )
    return text


def _made_up(seed: str) -> str:
    """A UID for what has none of its own, always the same for the same seed (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], 'big')}"


def _place(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _other_content(name: str) -> ServiceError:
    return ServiceError(
        f"{name} has the UID of an image that is here already, and is not the same file: its content is another, or "
        "is the same in another transfer syntax. The first is kept; another image needs a UID of its own.",
        kind="other-content",
        status=409,
    )


def _other_study(name: str) -> ServiceError:
    return ServiceError(
        f"{name} is of a series that is here already, in another study; a series has one study (PS3.3 A.1.2). "
        "Send it under the UID of a series of its own.",
        kind="other-content",
        status=409,
    )


def _other_patient(name: str) -> ServiceError:
    return ServiceError(
        f"{name} is of another patient than the images of its study that are here already; a study has one patient "
        "(PS3.3 A.1.2). Send it under the UID of a study of its own, or correct its patient ID.",
        kind="other-content",
        status=409,
    )


def _let_go_meanwhile(name: str) -> ServiceError:
    return ServiceError(
        f"{name} came at the same moment as a refused copy of it, and was let go with that. Send it again.",
        kind="send-again",
        status=503,
    )


def _plain(text: str) -> str:
    """Text without control characters, which some databases and all screens are better off without."""
    return "".join(character for character in text if character.isprintable())


def _named(fault: ImageError | ServiceError, file: Arrived) -> ImageError | ServiceError:
    """The fault with the name that the sender knows the file by."""
    name = file.name or "The file"
    words = str(fault).replace(file.path.name, name)
    if name not in words:
        words = f"{name}: {words}"
    if isinstance(fault, ServiceError):
        return ServiceError(words, kind=fault.kind, status=fault.status)
    return ImageError(words, kind=fault.kind)
