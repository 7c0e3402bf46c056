from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification  # type: ignore[attr-defined]
from sqlalchemy import select
from tests.serve.conftest import arrive
from tests.serve.orthanc import free_port

from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.node import NodeSettings
from overread.serve.notices import Notice, Notices, read_notice
from overread.serve.peers import parse_destination, send
from overread.serve.station import Station
from overread.serve.statuses import Status
from overread.serve.store import Store, open_store
from overread.serve.tables import Sending


def _told(study: str, images: list[str]) -> Dataset:
    """As of PS3.4 Table R.3.2-1."""
    series, told = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.1", []
    for uid in images:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        image.InstanceAvailability, image.RetrieveAETitle = "ONLINE", "SCANNER"
        series.ReferencedSOPSequence.append(image)
    told.ReferencedPerformedProcedureStepSequence = []
    told.StudyInstanceUID, told.ReferencedSeriesSequence = study, [series]
    return told


def test_a_notification_is_read() -> None:
    assert read_notice(_told("1.2", ["1.2.3", "1.2.4"])) == Notice(study="1.2", images=frozenset({"1.2.3", "1.2.4"}))
    assert read_notice(_told("", ["1.2.3"])) is None
    assert read_notice(_told("1.2", [])) is None
    assert read_notice(Dataset()) is None


def test_notices_take_no_more_memory_than_is_set(store: Store) -> None:
    """The last come stay."""
    notices = Notices()
    for number in range(1500):
        notices.add(Notice(study=f"1.{number}", images=frozenset({"1.2"})))
    assert (next(iter(notices._kept)), len(notices._kept)) == ("1.500", 1000)
    for number in range(6):
        notices.add(Notice(study=f"2.{number}", images=frozenset(f"3.{number}.{image}" for image in range(30_000))))
    assert list(notices._kept) == ["2.3", "2.4", "2.5"]


def test_a_notice_is_complete_when_all_its_images_are_there(store: Store, slices: list[Path]) -> None:
    notices, intake = Notices(), Intake(store)
    study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    images = [str(pydicom.dcmread(path).SOPInstanceUID) for path in slices[:4]]
    notices.add(Notice(study="1.2.3", images=frozenset({"1.2.3.4"})))
    notices.add(Notice(study=study, images=frozenset(images)))
    for n, path in enumerate([*slices[8:], *slices[:4]]):
        with store.read() as session:
            assert notices.complete(session) == [], n
        intake.take([arrive(store, path)], came_by="c-store", who="me")
    with store.read() as session:
        assert notices.complete(session) == [study]
    notices.forget(study)
    with store.read() as session:
        assert notices.complete(session) == []


@pytest.fixture
def station(model_folder: Path, tmp_path: Path) -> Iterator[tuple[Station, int]]:
    """One that would wait for an hour."""
    made = Station(
        open_store(tmp_path / "store"),
        ServedModel(model_folder),
        NodeSettings(port=0, quiet_s=3600),
        destinations=[f"PACS@127.0.0.1:{free_port()}"],
    )
    yield made, made.start()
    made.stop()


def _notify(port: int, told: Dataset) -> int:
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(InstanceAvailabilityNotification)
    association = ae.associate("127.0.0.1", port, ae_title="OVERREAD")
    try:
        answer, _ = association.send_n_create(told, InstanceAvailabilityNotification, generate_uid())
        return int(answer.Status)
    finally:
        association.release()
        association.join(10)


def test_who_says_that_all_was_sent_need_not_wait(station: tuple[Station, int], slices: list[Path]) -> None:
    made, port = station
    to = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    images = [str(pydicom.dcmread(path).SOPInstanceUID) for path in slices[:4]]
    study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    for path in slices[:3]:
        assert send(path, to, own_aet="SCANNER").outcome == "taken"
    assert _notify(port, _told(study, images)) == Status.SUCCESS
    time.sleep(2)
    with made.store.read() as session:
        assert session.scalars(select(Sending)).all() == []
    assert send(slices[3], to, own_aet="SCANNER").outcome == "taken"
    until = time.monotonic() + 30
    while True:
        with made.store.read() as session:
            kinds = {row.kind for row in session.scalars(select(Sending))}
        if kinds == {"sr", "sc"} and not made.reporter.notices._kept:
            break
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_notification_of_nothing_is_refused(station: tuple[Station, int]) -> None:
    assert _notify(station[1], _told("", ["1.2.3"])) == Status.MISSING_ATTRIBUTE


def test_only_so_many_are_kept() -> None:
    notices = Notices()
    for number in range(1200):
        notices.add(Notice(study=f"1.{number}", images=frozenset({"1"})))
    assert len(notices._kept) == 1000
    assert "1.1199" in notices._kept
