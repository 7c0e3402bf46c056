from __future__ import annotations

import io
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from sqlalchemy import select
from tests.serve.orthanc import PROGRAM, Orthanc, free_port

from overread.errors import ImageError, ServiceError, SettingsError
from overread.predict import load
from overread.serve.contexts import image_classes, transfer_syntaxes
from overread.serve.model import ServedModel
from overread.serve.node import Callers, Node, NodeSettings, status_of
from overread.serve.peers import TlsFiles, parse_destination, send
from overread.serve.proof import prove
from overread.serve.station import Station
from overread.serve.statuses import Status
from overread.serve.store import open_store
from overread.serve.tables import Sending

STORESCU, ECHOSCU = Path("/usr/bin/storescu"), Path("/usr/bin/echoscu")
SR, SC = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
needs_dcmtk = pytest.mark.skipif(not STORESCU.exists(), reason="dcmtk is not installed (Debian: dcmtk)")
needs_orthanc = pytest.mark.skipif(not PROGRAM.exists(), reason="Orthanc is not installed (Debian: orthanc)")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """Start a node with these settings; its port, and who handed in what."""
    running: list[Node] = []

    def start(
        take: Any = None, *, callers: Callers | None = None, tls: TlsFiles | None = None
    ) -> tuple[int, list[str]]:
        seen: list[str] = []

        def keep(path: Path, calling: str) -> None:
            dataset = pydicom.dcmread(path)
            assert dataset.pixel_array.size
            seen.append(f"{calling} {dataset.SOPInstanceUID}")

        made = Node(NodeSettings(port=0), take or keep, incoming=tmp_path, callers=callers, tls=tls)
        running.append(made)
        return made.start(), seen

    yield start
    for one in running:
        one.stop()


def _store(port: int, files: list[Path], *more: str) -> subprocess.CompletedProcess[str]:
    words = [STORESCU, "-v", "-aec", "OVERREAD", "-aet", "SCANNER", *more, "127.0.0.1", str(port), *files]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)


@needs_dcmtk
def test_a_scanner_is_heard_and_its_images_come_as_they_were(node: Any, slices: list[Path]) -> None:
    port, seen = node()
    echo = [str(ECHOSCU), "-aec", "OVERREAD", "127.0.0.1", str(port)]
    assert subprocess.run(echo, timeout=30).returncode == 0
    assert _store(port, slices).returncode == 0
    assert seen == [f"SCANNER {pydicom.dcmread(path).SOPInstanceUID}" for path in slices]


@needs_dcmtk
def test_who_is_not_allowed_is_rejected(node: Any, slices: list[Path]) -> None:
    port, seen = node(callers=Callers(aets=("SCANNER",), networks=("127.0.0.0/8",)))
    assert _store(port, slices[:1]).returncode == 0
    assert _store(port, slices[:1], "-aet", "STRANGER").returncode != 0
    assert _store(port, slices[:1], "-aec", "OTHER").returncode != 0
    elsewhere, unseen = node(callers=Callers(networks=("10.0.0.0/8",)))
    assert _store(elsewhere, slices[:1]).returncode != 0
    assert (len(seen), unseen) == (1, [])


@needs_dcmtk
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ServiceError("full", kind="store-full", status=507), Status.OUT_OF_RESOURCES),
        (ServiceError("away", kind="store-away", status=503), Status.OUT_OF_RESOURCES),
        (ServiceError("other", kind="other-content", status=409), Status.DATA_SET_DOES_NOT_MATCH),
        (ImageError("no image"), Status.CANNOT_UNDERSTAND),
        (OSError(28, "No space left on device"), Status.OUT_OF_RESOURCES),
        (OSError(5, "Input/output error"), Status.PROCESSING_FAILURE),
        (ServiceError("large", kind="too-large", status=413), Status.TOO_LARGE),
        (ZeroDivisionError("a fault"), Status.PROCESSING_FAILURE),
    ],
)
def test_a_refusal_has_its_status(node: Any, slices: list[Path], fault: Exception, status: Status) -> None:
    def refuse(path: Path, calling: str) -> None:
        raise fault

    port, _ = node(refuse)
    sent = send(slices[0], parse_destination(f"OVERREAD@127.0.0.1:{port}"), own_aet="TEST")
    assert f"{status:04X}" in sent.said
    is_ours = status in (Status.OUT_OF_RESOURCES, Status.PROCESSING_FAILURE)
    assert sent.outcome == ("again" if is_ours else "refused")


def test_what_a_library_calls_an_error_of_input_is_the_images_fault() -> None:
    fault = ImageError("The image cannot be read.")
    fault.__cause__ = OSError("unexpected end of data")
    assert status_of(fault) == Status.CANNOT_UNDERSTAND
    fault.__cause__ = OSError(5, "Input/output error")
    assert status_of(fault) == Status.PROCESSING_FAILURE


def test_eight_associations_at_once(node: Any, slices: list[Path]) -> None:
    port, seen = node()
    to = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    outcomes: list[str] = []

    def work(number: int) -> None:
        outcomes.extend(send(path, to, own_aet=f"SCANNER{number}").outcome for path in slices[:4])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["taken"] * 32
    assert len(seen) == 32


def test_a_connection_can_be_secured(node: Any, slices: list[Path], tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(words, check=True, capture_output=True)
    tls = TlsFiles(cert=cert, key=key, ca=cert)
    port, seen = node(tls=tls)
    to = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    assert send(slices[0], to, own_aet="TEST").outcome == "again"
    assert send(slices[0], to, own_aet="TEST", tls=tls).outcome == "taken"
    assert len(seen) == 1


def test_what_is_offered_is_what_can_be_read() -> None:
    assert "1.2.840.10008.5.1.4.1.1.2" in image_classes()
    assert "1.2.840.10008.5.1.4.1.1.88.34" not in image_classes()
    assert {"1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"} <= set(transfer_syntaxes())


@pytest.mark.parametrize(
    "text", ["PACS", "PACS@host", "@host:1", "PACS@host:0", "a@b@c:1", "ftp://x", "x" * 17 + "@h:1"]
)
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="destination"):
        parse_destination(text)


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
    assert _store(port, slices[:4]).returncode == 0
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
def test_a_pacs_that_is_away_gets_them_later_and_once(
    station: Any, pacs: Orthanc, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from overread.serve import outbox

    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.5)
    made, port = station(0, pacs.by_web)
    assert _store(port, slices[:4]).returncode == 0

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
