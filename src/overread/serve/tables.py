"""The tables of the store: what came in, what the model said of it, what readers said, what is to be sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

UID_CHARACTERS = 64
"""PS3.5 9.1"""


def now() -> str:
    """The time in UTC as text that sorts: `2026-01-31T12:00:00.000000Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Table(DeclarativeBase):
    """What every table has: names of constraints that are the same on every database, so that they can be changed."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        bytes: LargeBinary,
    }


class Study(Table):
    """One examination of one patient."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(UID_CHARACTERS), unique=True)
    patient: Mapped[str] = mapped_column(String(64), index=True)
    """the patient's ID, hashed with the site's key; as it came where the site asked for that; empty where unknown"""
    description: Mapped[str] = mapped_column(String(64), default="")
    taken_on: Mapped[str] = mapped_column(String(8), default="")
    """year and month, as in `202601`"""
    received_at: Mapped[str] = mapped_column(String(27), index=True)
    changed_at: Mapped[str] = mapped_column(String(27), index=True)
    """when the last image came"""
    n_images: Mapped[int] = mapped_column(default=0)
    n_answered: Mapped[int] = mapped_column(default=0)
    """images that the model has looked at, those that could not be used included"""
    n_refused: Mapped[int] = mapped_column(default=0)
    """images among them that could not be used"""
    n_reported: Mapped[int] = mapped_column(default=0)
    """images that the last results sent on tell of"""
    model: Mapped[str] = mapped_column(String(64), default="")
    """whose answers are summed up here"""
    sums: Mapped[dict[str, Any]]
    """of each class, the sum of its probabilities; under `doubts` how often each reason for silence was given"""
    n_frames: Mapped[int] = mapped_column(default=0)
    """frames that `sums` adds up"""
    label: Mapped[str] = mapped_column(String(256), default="", index=True)
    """the class with the highest mean probability"""
    probability: Mapped[float] = mapped_column(default=0.0)
    abstains: Mapped[str] = mapped_column(Text, default="")
    """the commonest reason for silence, where the model is silent on most frames"""
    verdict: Mapped[str] = mapped_column(String(8), default="", index=True)
    """what the last reader said: agree or disagree"""
    reader_label: Mapped[str] = mapped_column(String(256), default="")
    series: Mapped[list[Series]] = relationship(back_populates="study", order_by="Series.number, Series.id")
    readings: Mapped[list[Reading]] = relationship(back_populates="study", order_by="Reading.id")


class Series(Table):
    """Images that were taken in one go."""

    __tablename__ = "series"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    uid: Mapped[str] = mapped_column(String(UID_CHARACTERS), unique=True)
    modality: Mapped[str] = mapped_column(String(16), default="")
    description: Mapped[str] = mapped_column(String(64), default="")
    number: Mapped[int] = mapped_column(default=0)
    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list[Instance]] = relationship(back_populates="series", order_by="Instance.place, Instance.id")


class Instance(Table):
    """One file: an image, or several frames of one."""

    __tablename__ = "instance"
    __table_args__ = (Index("ix_instance_waiting", "state", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    uid: Mapped[str] = mapped_column(String(UID_CHARACTERS), unique=True)
    sop_class: Mapped[str] = mapped_column(String(UID_CHARACTERS), default="")
    """empty for a picture that is no DICOM"""
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    """of the file, which lies in the archive under this name"""
    format: Mapped[str] = mapped_column(String(8))
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    n_frames: Mapped[int]
    rows: Mapped[int]
    columns: Mapped[int]
    place: Mapped[float] = mapped_column(default=0.0)
    """where it comes in its series: its position in mm, else its instance number"""
    came_by: Mapped[str] = mapped_column(String(16))
    """page, rest, stow or c-store"""
    received_at: Mapped[str] = mapped_column(String(27))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    """waiting, answered, or refused with a `problem`: then none of its frames has an answer"""
    problem: Mapped[str] = mapped_column(Text, default="")
    """of the first frame that has no answer"""
    claimed_by: Mapped[str] = mapped_column(String(64), default="")
    """the process that is predicting it now"""
    claimed_until: Mapped[str] = mapped_column(String(27), default="")
    series: Mapped[Series] = relationship(back_populates="instances")
    predictions: Mapped[list[Answer]] = relationship(back_populates="instance", order_by="Answer.frame")


class Answer(Table):
    """What one model says of one frame. Once written it is never changed."""

    __tablename__ = "answer"
    __table_args__ = (UniqueConstraint("instance_id", "frame", "model", name="uq_answer_once"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), index=True)
    frame: Mapped[int]
    model: Mapped[str] = mapped_column(String(64), index=True)
    """SHA-256 of the model folder's card, which holds the hashes of all its files"""
    label: Mapped[str] = mapped_column(String(256), default="", index=True)
    """the likeliest class; empty where there is a problem"""
    probabilities: Mapped[dict[str, Any]]
    classes: Mapped[list[Any]]
    """the set of classes that holds the true one as often as the model promises"""
    abstains: Mapped[str] = mapped_column(Text, default="")
    """why the model does not answer with one class; empty where it does"""
    problem: Mapped[str] = mapped_column(Text, default="")
    maps: Mapped[bytes] = mapped_column(default=b"")
    """class maps, (k, h, w) float16 little-endian; empty where there are none"""
    maps_shape: Mapped[list[Any]]
    nearest: Mapped[list[Any]]
    """the training images most like it: label, patient (hashed), distance"""
    answered_at: Mapped[str] = mapped_column(String(27))
    instance: Mapped[Instance] = relationship(back_populates="predictions")


class Reading(Table):
    """What a reader says of the model's answer. A change of mind is a new row; the last one counts."""

    __tablename__ = "reading"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    instance_uid: Mapped[str] = mapped_column(String(UID_CHARACTERS), default="")
    """the image that it speaks of; empty for the whole study"""
    frame: Mapped[int] = mapped_column(default=0)
    reader: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(8))
    """agree or disagree"""
    label: Mapped[str] = mapped_column(String(256), default="")
    """the right class, in the reader's eyes"""
    comment: Mapped[str] = mapped_column(Text, default="")
    model: Mapped[str] = mapped_column(String(64))
    read_at: Mapped[str] = mapped_column(String(27))
    study: Mapped[Study] = relationship(back_populates="readings")


class Job(Table):
    """Files that were handed in together."""

    __tablename__ = "job"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(64))
    came_by: Mapped[str] = mapped_column(String(16))
    n_files: Mapped[int] = mapped_column(default=0)
    n_read: Mapped[int] = mapped_column(default=0)
    """files that have been looked at, of those `n_files`"""
    instances: Mapped[list[Any]]
    """UIDs of the images that were taken in"""
    problems: Mapped[list[Any]]
    """a `name`, a `kind` and a `message` of each file that was not"""
    held: Mapped[list[Any]]
    """archives that are still to be unpacked: what the store and what their sender calls each"""
    n_unpacked: Mapped[int] = mapped_column(default=0)
    """files of the first of these that have been taken in"""
    state: Mapped[str] = mapped_column(String(10), default="reading")
    """reading, or read: then all that is left is to predict"""
    made_at: Mapped[str] = mapped_column(String(27))


class Account(Table):
    """Who may come in, by a token that is shown once and kept hashed."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(8))
    """reader or admin"""
    key: Mapped[str] = mapped_column(String(16), unique=True)
    """the first part of the token, which finds the row"""
    secret_hash: Mapped[str] = mapped_column(String(256))
    """argon2id of the second part"""
    made_at: Mapped[str] = mapped_column(String(27))
    ended_at: Mapped[str] = mapped_column(String(27), default="")
    """when it was taken back; empty while it is good"""


class Visit(Table):
    """A browser that has shown a token."""

    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    cookie_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    csrf: Mapped[str] = mapped_column(String(64))
    ends_at: Mapped[str] = mapped_column(String(27))


class Sending(Table):
    """A result on its way to a PACS."""

    __tablename__ = "sending"
    __table_args__ = (UniqueConstraint("destination", "uid", name="uq_sending_once"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    uid: Mapped[str] = mapped_column(String(UID_CHARACTERS))
    """SOP Instance UID of the result"""
    kind: Mapped[str] = mapped_column(String(4))
    """sr or sc"""
    sha256: Mapped[str] = mapped_column(String(64))
    """of the result's file, in the archive"""
    destination: Mapped[str] = mapped_column(String(512))
    """`AET@host:port`, or the address of a DICOMweb service"""
    state: Mapped[str] = mapped_column(String(8), default="waiting", index=True)
    """waiting, sending, sent, or refused for good with `last_said`"""
    n_tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[str] = mapped_column(String(27))
    last_said: Mapped[str] = mapped_column(Text, default="")
    sent_at: Mapped[str] = mapped_column(String(27), default="")


class Step(Table):
    """One link of the audit trail. Rows are added and never changed."""

    __tablename__ = "trail"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(27))
    who: Mapped[str] = mapped_column(String(64))
    did: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(128), default="")
    details: Mapped[dict[str, Any]]
    before: Mapped[str] = mapped_column(String(64))
    """hash of the step before this one"""
    hash: Mapped[str] = mapped_column(String(64))
