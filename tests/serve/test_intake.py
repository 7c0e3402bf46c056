from __future__ import annotations

import gzip
import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from sqlalchemy import func, select
from tests.serve.conftest import arrive, keep

from overread.serve.intake import Arrived, Intake
from overread.serve.limits import OWN_RESULT, IntakeSettings
from overread.serve.results import ModelSaid, make_capture, to_bytes
from overread.serve.store import Store
from overread.serve.tables import Instance, Sending, Series, Step, Study, now


def _count(store: Store, table: type) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_slices_become_their_studies_once(store: Store, slices: list[Path]) -> None:
    intake = Intake(store)
    first = intake.take([arrive(store, path) for path in slices], came_by="rest", who="me")
    again = intake.take([arrive(store, path) for path in slices], came_by="stow", who="you")
    assert all(one.is_new for one in first)
    assert not any(one.is_new or one.problem for one in again)
    assert (_count(store, Study), _count(store, Instance)) == (3, 12)
    with store.read() as session:
        assert session.scalars(select(Study.n_images)).all() == [4, 4, 4]
        places = session.scalars(select(Instance.place).where(Instance.series_id == 1).order_by(Instance.place)).all()
        steps = session.scalars(select(Step)).all()
    assert len(set(places)) == 4
    assert [(step.who, step.did, len(step.details["images"])) for step in steps] == [("me", "received", 12)]
    assert list(store.files.incoming.iterdir()) == []


def test_no_identifier_of_the_patient_is_kept(store: Store, slices: list[Path]) -> None:
    patient = str(pydicom.dcmread(slices[0]).PatientID)
    Intake(store).take([arrive(store, slices[0])], came_by="rest", who="me")
    with store.read() as session:
        kept = session.scalars(select(Study.patient)).one()
        said = str([step.details for step in session.scalars(select(Step))])
    assert kept == store.key.hash_patient(patient)
    assert patient not in kept + said
    asked = Intake(store, IntakeSettings(keep_patient_ids=True))
    asked.take([arrive(store, slices[-1])], came_by="rest", who="me")
    with store.read() as session:
        assert str(pydicom.dcmread(slices[-1]).PatientID) in session.scalars(select(Study.patient)).all()


def test_pictures_of_one_upload_make_one_study(store: Store, pictures: list[Path]) -> None:
    files = [arrive(store, path) for path in [*pictures, pictures[0]]]
    found = Intake(store).take(files, came_by="page", who="me", together="2.25.7")
    assert {one.study for one in found} == {"2.25.7"}
    assert found[0].instance == found[3].instance
    assert [one.is_new for one in found] == [True, True, True, False]
    assert (_count(store, Study), _count(store, Series), _count(store, Instance)) == (1, 1, 3)


def test_what_cannot_be_used_is_told_by_its_own_name(store: Store, tmp_path: Path, slices: list[Path]) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    (tmp_path / "cut.dcm").write_bytes(slices[0].read_bytes()[:400])
    (tmp_path / "empty.dcm").write_bytes(b"")
    names = ("letter.txt", "cut.dcm", "empty.dcm")
    files = [*(arrive(store, tmp_path / name) for name in names), arrive(store, slices[1])]
    found = Intake(store).take(files, came_by="rest", who="me")
    kinds = [getattr(one.problem, "kind", "") for one in found]
    assert kinds == ["not-an-image", "truncated", "empty", ""]
    for one, name in zip(found, names, strict=False):
        assert name in str(one.problem)
        assert files[0].path.name not in str(one.problem)
    assert _count(store, Instance) == 1


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.<script>", "1." + "9" * 70, "1..2", "..", "1.2."])
def test_a_uid_that_is_none_is_refused(store: Store, slices: list[Path], tmp_path: Path, uid: str) -> None:
    dataset = pydicom.dcmread(slices[0])
    with pydicom.config.disable_value_validation():
        dataset.SOPInstanceUID = uid
        dataset.save_as(tmp_path / "odd.dcm")
    (one,) = Intake(store).take([arrive(store, tmp_path / "odd.dcm")], came_by="c-store", who="me")
    assert one.problem is not None
    assert one.problem.kind == "bad-uid"
    assert "odd.dcm" in str(one.problem)
    assert _count(store, Instance) == 0


@pytest.mark.parametrize("uid", ["19953875137321100749012879530819", "1.2.840.0113619.02"])
def test_a_uid_without_a_root_is_taken(store: Store, slices: list[Path], tmp_path: Path, uid: str) -> None:
    dataset = pydicom.dcmread(slices[0])
    with pydicom.config.disable_value_validation():
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{uid}1", f"{uid}2"
        dataset.save_as(tmp_path / "odd.dcm")
    (one,) = Intake(store).take([arrive(store, tmp_path / "odd.dcm")], came_by="c-store", who="me")
    assert (one.problem, one.instance, one.study) == (None, uid, f"{uid}1")


def test_another_image_of_a_known_uid_is_refused(store: Store, slices: list[Path], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(slices[0])
    dataset.PixelData = bytes(reversed(dataset.PixelData))
    dataset.save_as(tmp_path / "other.dcm")
    intake = Intake(store)
    intake.take([arrive(store, slices[0])], came_by="rest", who="me")
    (one,) = intake.take([arrive(store, tmp_path / "other.dcm")], came_by="rest", who="me")
    assert getattr(one.problem, "kind", "") == "other-content"
    assert _count(store, Instance) == 1
    assert _kept(store) == {hashlib.sha256(slices[0].read_bytes()).hexdigest()}
    (again,) = intake.take([arrive(store, slices[0])], came_by="rest", who="me")
    assert (again.problem, again.is_new) == (None, False)
    assert len(_kept(store)) == 1


def test_what_is_refused_may_be_held_by_others(store: Store, slices: list[Path]) -> None:
    """The same bytes may be a result that waits to be sent."""
    content = slices[1].read_bytes()
    sha256 = keep(store, content)
    dataset = pydicom.dcmread(slices[0])
    dataset.SOPInstanceUID = pydicom.dcmread(slices[1]).SOPInstanceUID
    other = io.BytesIO()
    dataset.save_as(other)
    with store.begin() as session:
        session.add(Study(uid="1.2", patient="", received_at=now(), changed_at=now(), sums={}, n_images=0))
        session.flush()
        known = {"study_id": 1, "uid": "1.2.3", "kind": "sc", "destination": "x", "next_at": now()}
        session.add(Sending(sha256=sha256, **known))
    path = store.files.incoming / "other"
    path.write_bytes(other.getvalue())
    intake = Intake(store)
    intake.take([Arrived(path=path, name="other")], came_by="rest", who="me")
    (one,) = intake.take([arrive(store, slices[1])], came_by="rest", who="me")
    assert getattr(one.problem, "kind", "") == "other-content"
    assert sha256 in _kept(store)


def test_what_was_let_go_at_the_same_moment_is_not_acknowledged(store: Store, slices: list[Path]) -> None:
    intake = Intake(store)
    look = intake._look

    def look_and_lose(file: Arrived, together: str) -> Any:
        found = look(file, together)
        store.files.path_of(found.sha256).unlink()  # type: ignore[union-attr]
        return found

    intake._look = look_and_lose  # type: ignore[method-assign]
    (one,) = intake.take([arrive(store, slices[0])], came_by="rest", who="me")
    assert (getattr(one.problem, "kind", ""), _count(store, Instance)) == ("send-again", 0)


def test_a_result_of_overreads_own_is_no_image(store: Store, slices: list[Path], tmp_path: Path) -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    model = ModelSaid(name="m", sha256="0" * 64, classes=("a", "b"), intended_use="", marks=())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    capture = make_capture(pydicom.dcmread(slices[0]), picture, model, at=at, number=1, answers="")
    (tmp_path / "capture.dcm").write_bytes(to_bytes(capture))
    (one,) = Intake(store).take([arrive(store, tmp_path / "capture.dcm")], came_by="rest", who="me")
    assert getattr(one.problem, "kind", "") == OWN_RESULT
    assert "a result that overread made" in str(one.problem)
    assert _count(store, Instance) == 0


@pytest.mark.parametrize("lacking", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_images_without_a_uid_are_told_apart_by_studies_and_patients(
    store: Store, slices: list[Path], tmp_path: Path, lacking: str
) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for path, source in zip(paths, (slices[0], slices[1], slices[4]), strict=True):
        dataset = pydicom.dcmread(source)
        del dataset[lacking]
        dataset.save_as(path)
    files = [arrive(store, path) for path in paths]
    found = Intake(store).take(files, came_by="rest", who="me", together="2.25.7")
    assert [one.problem for one in found] == [None] * 3
    assert found[0].study == found[1].study != found[2].study
    assert (_count(store, Study), _count(store, Series), _count(store, Instance)) == (2, 2, 3)


def _kept(store: Store) -> set[str]:
    return {path.name for path in store.files.folder.glob("??/*")}


def test_a_series_belongs_to_one_study(store: Store, slices: list[Path], tmp_path: Path) -> None:
    """Else an image would count for one study, and its answer for another."""
    dataset = pydicom.dcmread(slices[1])
    dataset.StudyInstanceUID = "1.2.3.4"
    dataset.save_as(tmp_path / "other.dcm")
    intake = Intake(store)
    intake.take([arrive(store, slices[0])], came_by="c-store", who="me")
    (one,) = intake.take([arrive(store, tmp_path / "other.dcm")], came_by="c-store", who="me")
    assert getattr(one.problem, "kind", "") == "other-content"
    assert (_count(store, Study), _count(store, Instance)) == (1, 1)


def _as_of(path: Path, to: Path, **values: Any) -> Path:
    """An image, as one of another patient."""
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(to)
    return to


@pytest.mark.parametrize("keeps", [True, False])
def test_a_study_has_one_patient(store: Store, slices: list[Path], tmp_path: Path, keeps: bool) -> None:
    """Else one patient's image would go out in another's report."""
    patient = str(pydicom.dcmread(slices[0]).PatientID)
    other = _as_of(slices[1], tmp_path / "other.dcm", PatientID="SECRET-7")
    unknown = _as_of(slices[2], tmp_path / "unknown.dcm", PatientID="")
    intake = Intake(store, IntakeSettings(keep_patient_ids=keeps))
    together = intake.take([arrive(store, path) for path in (slices[0], other)], came_by="rest", who="me")
    later = intake.take([arrive(store, path) for path in (other, unknown)], came_by="stow", who="me")
    assert [getattr(one.problem, "kind", "") for one in (*together, *later)] == [
        "",
        "other-content",
        "other-content",
        "",
    ]
    for one in (together[1], later[0]):
        words = str(one.problem)
        assert "another patient" in words
        for identifier in (patient, "SECRET-7", store.key.hash_patient(patient), store.key.hash_patient("SECRET-7")):
            assert identifier not in words
    assert (_count(store, Study), _count(store, Instance), len(_kept(store))) == (1, 2, 2)


def test_a_patient_is_the_same_whether_ids_are_kept_or_hashed(store: Store, slices: list[Path]) -> None:
    for path, keeps in zip(slices[3:5] + slices[2:6:3], (True, False, False, True), strict=True):
        intake = Intake(store, IntakeSettings(keep_patient_ids=keeps))
        (one,) = intake.take([arrive(store, path)], came_by="rest", who="me")
        assert one.problem is None
    assert _count(store, Study) == 2


def test_a_study_whose_patient_was_unknown_is_the_first_ones_who_is_known(
    store: Store, slices: list[Path], tmp_path: Path
) -> None:
    unknown = _as_of(slices[0], tmp_path / "unknown.dcm", PatientID="")
    other = _as_of(slices[2], tmp_path / "other.dcm", PatientID="SECRET-7")
    found = [
        taken
        for path in (unknown, slices[1], other)
        for taken in Intake(store).take([arrive(store, path)], came_by="rest", who="me")
    ]
    assert [getattr(one.problem, "kind", "") for one in found] == ["", "", "other-content"]
    with store.read() as session:
        kept = session.scalars(select(Study.patient)).one()
    assert kept == store.key.hash_patient(str(pydicom.dcmread(slices[1]).PatientID))


@pytest.mark.parametrize("text", ["head\x00<b>", "\x00", "a\tb\r\nc\x1b[31m"])
def test_control_characters_are_not_kept(store: Store, slices: list[Path], tmp_path: Path, text: str) -> None:
    """PostgreSQL takes no NUL, and an error there would refuse the files that came along as well."""
    dataset = pydicom.dcmread(slices[0])
    with pydicom.config.disable_value_validation():
        dataset.BodyPartExamined = dataset.Modality = dataset.PatientID = text
        dataset.save_as(tmp_path / "odd.dcm")
    intake = Intake(store, IntakeSettings(keep_patient_ids=True))
    found = intake.take([arrive(store, path) for path in (tmp_path / "odd.dcm", slices[4])], came_by="rest", who="me")
    assert [one.problem for one in found] == [None, None]
    with store.read() as session:
        rows = [(row.description, row.patient, row.series[0].modality) for row in session.scalars(select(Study))]
    assert all(character.isprintable() for row in rows for word in row for character in word)


def test_limits_are_kept(store: Store, slices: list[Path], tmp_path: Path) -> None:
    big = tmp_path / "big.dcm"
    big.write_bytes(slices[0].read_bytes() + b"\0" * 1_100_000)
    (one,) = Intake(store, IntakeSettings(max_file_mb=1)).take([arrive(store, big)], came_by="rest", who="me")
    assert getattr(one.problem, "kind", "") == "too-large"


def test_a_volume_that_fills_the_memory_is_refused(store: Store, tmp_path: Path) -> None:
    """A few thousand bytes, packed, become a gigabyte when the first slice is asked for."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((1000, 1000, 400))
    header.set_data_dtype("float64")
    header["magic"], header["vox_offset"] = b"n+1", 352
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4 + 1_000_000)))
    (one,) = Intake(store).take([arrive(store, path)], came_by="rest", who="me")
    assert getattr(one.problem, "kind", "") == "too-large"
