"""What a DICOMweb service may answer, each spoken by a small server of its own."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.serve.orthanc import PROGRAM, Orthanc, free_port

from overread.errors import SettingsError
from overread.serve.peers import has, known_destinations, parse_destination, read_authorizations, send
from overread.serve.statuses import Sent


@pytest.fixture
def service() -> Iterator[Callable[..., tuple[str, list[tuple[str, bytes]]]]]:
    """Start a service that always answers the same; its address, and what it was asked."""
    running: list[ThreadingHTTPServer] = []

    def start(status: int, body: bytes = b"", **headers: str) -> tuple[str, list[tuple[str, bytes]]]:
        heard: list[tuple[str, bytes]] = []

        class Speaker(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                heard.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
                if status == 0:
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *words: Any) -> None:
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Speaker))
        threading.Thread(target=running[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}/dicom-web", heard

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


def _send(path: Path, url: str) -> Sent:
    return send(path, parse_destination(url), own_aet="TEST")


def test_a_pacs_that_asks_for_a_password_gets_it(slices: list[Path], tmp_path: Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    pacs = Orthanc(tmp_path / "orthanc", node_port=free_port(), word="open sesame")
    pacs.start()
    try:
        refused = _send(slices[0], pacs.by_web)
        assert (refused.outcome, refused.said) == ("again", "HTTP 401")
        secret = base64.b64encode(b"node:open sesame").decode()
        (tmp_path / "auth").write_text(f"# the PACS\n\n{pacs.by_web}/   Basic {secret}\n")
        (known,) = known_destinations([pacs.by_web], read_authorizations(tmp_path / "auth")).values()
        assert not has(slices[0], known, own_aet="TEST")
        assert send(slices[0], known, own_aet="TEST").outcome == "taken"
        assert has(slices[0], known, own_aet="TEST")
        assert secret not in repr(known)
    finally:
        pacs.stop()


@pytest.mark.parametrize(
    "line",
    ["https://pacs", "https://pacs s3cret", "https://pacs Basic", "pacs Basic s3cret", "http://a:b@c Basic s3cret"],
)
def test_what_tells_a_service_nothing_is_refused_without_a_secret(tmp_path: Path, line: str) -> None:
    (tmp_path / "auth").write_text(f"{line}\n")
    with pytest.raises(SettingsError, match=r"line 1|--send-to has a user") as caught:
        read_authorizations(tmp_path / "auth")
    assert "s3cret" not in str(caught.value)


def test_whom_nothing_is_sent_to_is_told_nothing(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("https://pacs/web Bearer s3cret\n")
    with pytest.raises(SettingsError, match="https://pacs/web something, which is no --send-to"):
        known_destinations(["https://other/web", "PACS@host:104"], read_authorizations(tmp_path / "auth"))
    with pytest.raises(SettingsError, match="cannot be read"):
        read_authorizations(tmp_path / "nowhere")


def _told(sequence: str, path: Path, reason: int | None = None) -> bytes:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [str(pydicom.dcmread(path).SOPInstanceUID)]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return json.dumps({sequence: {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize(
    ("status", "outcome", "uncertain", "away"),
    [
        (200, "taken", False, False),
        (202, "taken", False, False),
        (301, "again", False, True),
        (302, "again", False, True),
        (400, "refused", False, False),
        (401, "again", False, True),
        (404, "again", False, True),
        (409, "refused", False, False),
        (413, "refused", False, False),
        (429, "again", False, True),
        (500, "again", True, False),
        (503, "again", True, False),
        (0, "again", True, False),
    ],
)
def test_what_follows_from_a_status(
    service: Any, slices: list[Path], status: int, outcome: str, uncertain: bool, away: bool
) -> None:
    url, heard = service(status, Location="http://127.0.0.1:9/elsewhere")
    sent = _send(slices[0], url)
    assert (sent.outcome, sent.uncertain, sent.away) == (outcome, uncertain, away)
    ((path, body),) = heard
    assert path == "/dicom-web/studies"
    assert slices[0].read_bytes() in body


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [(200, 0xA700, "again"), (202, 0xC000, "refused"), (409, 0x0110, "again"), (200, 0x0111, "taken")],
)
def test_what_is_said_of_the_object_counts_for_more(
    service: Any, slices: list[Path], status: int, reason: int, outcome: str
) -> None:
    url, _ = service(status, _told("00081198", slices[0], reason))
    assert _send(slices[0], url).outcome == outcome


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"00081198": 7}', b'{"00081198": {"Value": [{}, 3]}}'])
def test_an_answer_in_another_form_goes_by_its_status(service: Any, slices: list[Path], body: bytes) -> None:
    assert _send(slices[0], service(200, body)[0]).outcome == "taken"


def test_what_is_stored_is_taken_whatever_else_failed(service: Any, slices: list[Path]) -> None:
    both = json.loads(_told("00081199", slices[0])) | json.loads(_told("00081198", slices[1], 0xC000))
    assert _send(slices[0], service(202, json.dumps(both).encode())[0]).outcome == "taken"


def test_nobody_there_is_away_and_certain(slices: list[Path]) -> None:
    sent = _send(slices[0], f"http://127.0.0.1:{free_port()}/dicom-web")
    assert (sent.outcome, sent.uncertain, sent.away) == ("again", False, True)
    by_dimse = _send(slices[0], f"PACS@127.0.0.1:{free_port()}")
    assert (by_dimse.outcome, by_dimse.uncertain, by_dimse.away) == ("again", False, True)


_HAS_IT = '{"00080018": {"vr": "UI", "Value": ["UID"]}}'


@pytest.mark.parametrize(
    ("status", "body", "there"),
    [
        (200, f"[{_HAS_IT}]", True),
        (200, f'[3, {{"00080018": {{"vr": "UI", "Value": ["1.2.3"]}}}}, {_HAS_IT}]', True),
        (200, '[{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}]', False),
        (200, '[{"00081155": {"vr": "UI", "Value": ["UID"]}}]', False),
        (200, '[{"00080018": {"vr": "UI"}}]', False),
        (200, _HAS_IT, False),
        (200, '["UID"]', False),
        (200, "[]", False),
        (200, "7", False),
        (204, "", False),
        (500, f"[{_HAS_IT}]", False),
        (200, "<html>", False),
    ],
)
def test_whether_a_service_has_an_object(
    service: Any, slices: list[Path], status: int, body: str, there: bool
) -> None:
    """Also a service that looks for nothing and answers with other objects, or with all that it has."""
    dataset = pydicom.dcmread(slices[0])
    url, heard = service(status, body.replace("UID", str(dataset.SOPInstanceUID)).encode())
    assert has(slices[0], parse_destination(url), own_aet="TEST") is there
    assert heard[0][0] == (
        f"/dicom-web/studies/{dataset.StudyInstanceUID}/instances?SOPInstanceUID={dataset.SOPInstanceUID}"
    )
