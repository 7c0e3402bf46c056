"""What comes out of a node: results in the same study of a real PACS, once, and of real images."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from sqlalchemy import select
from tests.serve.conftest import arrive
from tests.serve.orthanc import PROGRAM, Orthanc, free_port
from tests.serve.standard import faults_of
from tests.serve.test_node import STORESCU, needs_dcmtk, storescu

from overread.predict import load
from overread.serve.answering import Answerer
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.node import NodeSettings
from overread.serve.peers import parse_destination, send
from overread.serve.proof import prove
from overread.serve.results import Answered, ModelSaid, make_capture, make_report, to_bytes
from overread.serve.station import Station
from overread.serve.store import open_store
from overread.serve.tables import Instance, Sending, Step

DCIODVFY, DSRDUMP = Path("/usr/bin/dciodvfy"), Path("/usr/bin/dsrdump")
SR, SC = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
needs_orthanc = pytest.mark.skipif(not PROGRAM.exists(), reason="Orthanc is not installed (Debian: orthanc)")


@pytest.fixture
def station(model_folder: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Station, int]]]:
    running: list[Station] = []

    def start(port: int, *destinations: str) -> tuple[Station, int]:
        made = Station(
            open_store(tmp_path / "store"),
            ServedModel(model_folder),
            NodeSettings(port=port, quiet_s=1.0),
            destinations=destinations,
        )
        running.append(made)
        return made, made.start()

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def pacs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Orthanc]:
    """An Orthanc that has not been started; `request.param`: whether it pushes."""
    if not PROGRAM.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    made = Orthanc(tmp_path / "orthanc", node_port=free_port(), pushes=getattr(request, "param", False))
    yield made
    made.stop()


def _wait(ready: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def _results(pacs: Orthanc, study: str) -> list[tuple[str, str]]:
    """SOP class and UID of what is no CT in a study."""
    found = pacs.find(StudyInstanceUID=study)
    both = [(one["00080016"]["Value"][0], one["00080018"]["Value"][0]) for one in found]
    return sorted(pair for pair in both if pair[0] in (SR, SC))


@needs_dcmtk
@pytest.mark.parametrize("way", ["by_dimse", "by_web"])
def test_results_come_back_into_the_same_study(
    station: Any, pacs: Orthanc, slices: list[Path], model_folder: Path, way: str
) -> None:
    pacs.start()
    made, port = station(0, getattr(pacs, way))
    assert storescu(port, slices[:4]).returncode == 0
    study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    (_, capture), (_, report) = _wait(lambda: len(found := _results(pacs, study)) == 2 and found)
    dataset = pydicom.dcmread(io.BytesIO(pacs.file(report)))
    want = {str(pydicom.dcmread(p.path).SOPInstanceUID): p for p in load(model_folder).predict_files(slices[:4])}
    groups = next(item for item in dataset.ContentSequence if _name(item) == "Imaging Measurements").ContentSequence
    assert len(groups) == 4
    for group in groups:
        (image,) = (item for item in group.ContentSequence if item.ValueType == "IMAGE")
        p = want[str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)]
        said = {
            _name(item).removeprefix("Probability of "): float(item.MeasuredValueSequence[0].NumericValue)
            for item in group.ContentSequence
            if item.ValueType == "NUM"
        }
        assert said == pytest.approx(p.probabilities, abs=1e-6)
    assert dataset.VerificationFlag == "UNVERIFIED"
    shown = pydicom.dcmread(io.BytesIO(pacs.file(capture)))
    assert shown.BurnedInAnnotation == "YES"
    assert shown.StudyInstanceUID == dataset.StudyInstanceUID == study
    assert (
        len({shown.SeriesInstanceUID, dataset.SeriesInstanceUID, pydicom.dcmread(slices[0]).SeriesInstanceUID}) == 3
    )
    assert prove(made.store).faults == ()


@needs_dcmtk
def test_a_destination_that_says_nothing_holds_up_no_other(station: Any, pacs: Orthanc, slices: list[Path]) -> None:
    pacs.start()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, port = station(0, f"SILENT@127.0.0.1:{silent.getsockname()[1]}", pacs.by_dimse)
        assert storescu(port, slices[:4]).returncode == 0
        study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
        _wait(lambda: len(_results(pacs, study)) == 2, seconds=20)


@needs_dcmtk
@needs_orthanc
@pytest.mark.parametrize("pacs", [True], indirect=True)
def test_a_pacs_pushes_by_its_own_rule(station: Any, pacs: Orthanc, slices: list[Path]) -> None:
    pacs.start()
    node_port = pacs.client.get("/modalities?expand").json()["overread"]["Port"]
    station(node_port, pacs.by_dimse)
    words = [STORESCU, "-aec", "PACS", "127.0.0.1", str(pacs.dicom_port), *slices[:4]]
    subprocess.run(list(map(str, words)), check=True, timeout=60)
    study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    assert _wait(lambda: len(found := _results(pacs, study)) == 2 and found)


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:(The value length|Invalid value for VR UI)")
@pytest.mark.parametrize(("folder", "n_images"), [("aneurysm", 40), ("cancer", 35), ("tumor", 40)])
def test_a_real_series_is_answered_into_its_study(
    station: Any, pacs: Orthanc, shared: Path, tmp_path: Path, folder: str, n_images: int
) -> None:
    """Pseudonymised carelessly: no patient's name, UIDs without a root, a Study ID that is too long."""
    files = sorted((shared / "data/brain-ct/dicom" / folder).glob("*.dcm"))
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert len(files) == n_images
    made = _answered(station, pacs, files, tmp_path)
    faults = {fault for path in made for fault in _faults(path)}
    study, series = str(sources[0].StudyInstanceUID), str(sources[0].SeriesInstanceUID)
    images = {str(one.SOPInstanceUID) for one in sources}
    # results that are to be found with their study, and name its images, have to repeat these UIDs
    rootless = {
        f'Error - Illegal root for UID - "{uid}" in (0x0008,0x1155) Referenced SOP Instance UID' for uid in images
    }
    rootless |= {f'Error - Illegal root for UID - "{study}" in (0x0020,0x000d) Study Instance UID'}
    rootless |= {f'Error - Illegal root for UID - "{series}" in (0x0020,0x000e) Series Instance UID'}
    assert faults == (rootless if DCIODVFY.exists() else set())
    assert [fault for path in made for fault in faults_of(path)] == []


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:(The value length|Invalid value for VR UI)")
@pytest.mark.parametrize("folder", ["aneurysm", "cancer", "tumor"])
def test_a_real_series_whose_uids_have_a_root_gets_results_without_fault(
    station: Any, pacs: Orthanc, shared: Path, tmp_path: Path, folder: str
) -> None:
    """All else that is wrong with these headers stays as it is, and is not handed on."""
    rooted = []
    for path in sorted((shared / "data/brain-ct/dicom" / folder).glob("*.dcm"))[:8]:
        dataset = pydicom.dcmread(path)
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, name, f"2.25.{dataset[name].value}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        rooted.append(tmp_path / f"rooted-{path.name}")
        dataset.save_as(rooted[-1])
    assert any("Study ID" in fault for fault in _faults(rooted[0])) or not DCIODVFY.exists()
    for path in _answered(station, pacs, rooted, tmp_path):
        assert _faults(path) == faults_of(path) == []


def _answered(station: Any, pacs: Orthanc, files: list[Path], folder: Path) -> list[Path]:
    """The capture and the report that a PACS gets of the images of one study; of each image it is told."""
    pacs.start()
    made, port = station(0, pacs.by_web)
    assert storescu(port, files).returncode == 0
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    study = str(sources[0].StudyInstanceUID)
    (_, capture), (_, report) = _wait(lambda: len(found := _results(pacs, study)) == 2 and found)
    dataset = pydicom.dcmread(io.BytesIO(pacs.file(report)))
    groups = next(item for item in dataset.ContentSequence if _name(item) == "Imaging Measurements").ContentSequence
    said = {
        item.TextValue for group in groups for item in group.ContentSequence if _name(item) == "Tracking Identifier"
    }
    assert said == {f"series {one.SeriesNumber}, image {one.InstanceNumber}" for one in sources}
    assert (dataset.PatientID, dataset.PatientName) == (sources[0].PatientID, "")
    assert prove(made.store).faults == ()
    paths = [folder / "capture.dcm", folder / "report.dcm"]
    for path, uid in zip(paths, (capture, report), strict=True):
        path.write_bytes(pacs.file(uid))
    read = subprocess.run([DSRDUMP, paths[1]], capture_output=True, text=True, timeout=60)
    assert (read.returncode, read.stderr) == (0, "")
    assert read.stdout.count("Source of Measurement") == len(files)
    return paths


def _faults(path: Path) -> list[str]:
    """What dciodvfy has against a file."""
    if not DCIODVFY.exists():
        return []
    said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, timeout=60).stderr
    return [line for line in said.splitlines() if "Error" in line]


@needs_dcmtk
def test_a_study_that_has_no_results_does_not_hold_up_the_others(
    station: Any, pacs: Orthanc, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from overread.serve import reporting

    odd = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    real = reporting.make_report

    def fails_on_one(answered: Any, *words: Any, **more: Any) -> Any:
        if answered[0].dataset.StudyInstanceUID == odd:
            raise ZeroDivisionError
        return real(answered, *words, **more)

    monkeypatch.setattr(reporting, "make_report", fails_on_one)
    pacs.start()
    made, port = station(0, pacs.by_web)
    assert storescu(port, slices).returncode == 0
    for path in (slices[4], slices[8]):
        study = str(pydicom.dcmread(path).StudyInstanceUID)
        assert _wait(lambda uid=study: len(_results(pacs, uid)) == 2)
    with made.store.read() as session:
        (step,) = session.scalars(select(Step).where(Step.did == "not reported"))
    assert (step.subject, step.details["fault"]) == (odd, "ZeroDivisionError")
    assert _results(pacs, odd) == []


@needs_dcmtk
def test_a_result_that_comes_back_is_thanked_for_and_left_out(
    station: Any, slices: list[Path], tmp_path: Path
) -> None:
    """A PACS that forwards whole studies sends it after each answer: an image of it would call for the next."""
    model = ModelSaid(name="m", sha256="0" * 64, classes=("a", "b"), intended_use="", marks=())
    source, at = pydicom.dcmread(slices[0]), datetime(2026, 1, 1, tzinfo=UTC)
    capture = make_capture(source, np.zeros((20, 30, 3), np.uint8), model, at=at, number=1, answers="")
    answered = Answered(dataset=source, frame=0, label="a", probabilities={"a": 0.9, "b": 0.1}, classes=("a",))
    report = make_report([answered], model, at=at)
    for name, result in (("capture.dcm", capture), ("report.dcm", report)):
        (tmp_path / name).write_bytes(to_bytes(result))
    report.Manufacturer, report.SOPInstanceUID = "another", report.SOPInstanceUID + ".1"
    (tmp_path / "others.dcm").write_bytes(to_bytes(report))
    made, port = station(0)
    sent = storescu(port, [tmp_path / "capture.dcm", tmp_path / "report.dcm", slices[0]], "-R")
    assert (sent.returncode, sent.stdout.count("Success") + sent.stderr.count("Success")) == (0, 3)
    here = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    assert "0xC000" in send(tmp_path / "others.dcm", here, own_aet="PACS").said
    with made.store.read() as session:
        assert session.scalars(select(Instance.uid)).all() == [source.SOPInstanceUID]
    assert len(list(made.store.files.folder.glob("??/*"))) == 1


@needs_dcmtk
def test_what_is_made_is_sent_while_others_are_being_made(
    station: Any,
    pacs: Orthanc,
    slices: list[Path],
    tmp_path: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from overread.serve import reporting

    real, is_sent, made_for = reporting.make_report, threading.Event(), list[str]()

    def waits_at_the_second(answered: Any, *words: Any, **more: Any) -> Any:
        made_for.append(str(answered[0].dataset.StudyInstanceUID))
        assert len(made_for) == 1 or is_sent.wait(60)
        return real(answered, *words, **more)

    monkeypatch.setattr(reporting, "make_report", waits_at_the_second)
    pacs.start()
    store = open_store(tmp_path / "store")
    Intake(store).take([arrive(store, path) for path in slices], came_by="c-store", who="me")
    Answerer(store, ServedModel(model_folder)).answer_waiting()
    store.close()
    time.sleep(1.1)  # they are quiet now, all of them
    station(0, pacs.by_web)
    _wait(lambda: len(made_for) == 2)
    _wait(lambda: len(_results(pacs, made_for[0])) == 2, 30)
    is_sent.set()
    for path in slices[::4]:
        study = str(pydicom.dcmread(path).StudyInstanceUID)
        assert _wait(lambda uid=study: len(_results(pacs, uid)) == 2)


@needs_dcmtk
def test_a_pacs_that_is_away_gets_them_later_and_once(
    station: Any, pacs: Orthanc, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from overread.serve import outbox

    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.5)
    made, port = station(0, pacs.by_web)
    assert storescu(port, slices[:4]).returncode == 0

    def states() -> list[tuple[str, int]]:
        with made.store.read() as session:
            return [(row.state, row.n_tries) for row in session.scalars(select(Sending))]

    _wait(lambda: any(n_tries > 1 for _, n_tries in states()))
    pacs.start()
    _wait(lambda: [state for state, _ in states()] == ["sent", "sent"])
    study = str(pydicom.dcmread(slices[0]).StudyInstanceUID)
    assert len(_results(pacs, study)) == 2
    assert made.reporter.report_due() == 0


def _name(item: pydicom.Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning) if "ConceptNameCodeSequence" in item else ""


def test_what_waits_for_what_is_no_destination_is_put_off(station: Any, slices: list[Path]) -> None:
    """It was taken by an earlier version, and made a fault each time that its turn came."""
    made, _ = station(0)
    assert made.outbox.has(slices[0], "P\u00c4CS@h:1") is False
    sent = made.outbox.send(slices[0], "P\u00c4CS@h:1")
    assert (sent.outcome, sent.said, sent.away) == ("again", "it is no destination", True)
