"""What a peer may do to the node, and what the node leaves behind of it."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import split_dataset
from pynetdicom.pdu_primitives import P_DATA
from tests.serve.conftest import self_signed

from overread.errors import ServiceError
from overread.serve.listening import Listener
from overread.serve.node import Callers, Node, NodeSettings
from overread.serve.peers import TlsFiles, parse_destination, send
from overread.serve.statuses import Sent, Status

CT = "1.2.840.10008.5.1.4.1.1.2"
STORESCU = Path("/usr/bin/storescu")
needs_dcmtk = pytest.mark.skipif(not STORESCU.exists(), reason="dcmtk is not installed (Debian: dcmtk)")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def kept() -> dict[str, bytes]:
    return {}


@pytest.fixture
def node(incoming: Path, kept: dict[str, bytes]) -> Iterator[Callable[..., int]]:
    """Start a node; its port. Files go to `kept` under their UID."""
    running: list[Node] = []

    def keep(path: Path, calling: str) -> None:
        kept[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = path.read_bytes()

    def start(*, take: Any = keep, max_associations: int = 16, **more: Any) -> int:
        settings = NodeSettings(port=0, max_associations=max_associations)
        running.append(Node(settings, take, incoming=incoming, **more))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


def _send(path: Path, port: int, tls: TlsFiles | None = None) -> Sent:
    return send(path, parse_destination(f"OVERREAD@127.0.0.1:{port}"), own_aet="TEST", tls=tls)


@contextmanager
def _association(port: int) -> Iterator[Any]:
    ae = AE(ae_title="TEST")
    ae.acse_timeout = ae.dimse_timeout = 10
    ae.add_requested_context(CT, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="OVERREAD")
    assert association.is_established
    yield association
    association.release()
    association.join(10)


def _request(path: Path, *, instance: str = "", kind: str = "") -> C_STORE:
    meta, offset = split_dataset(path)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = kind or meta.MediaStorageSOPClassUID
    request.AffectedSOPInstanceUID = instance or meta.MediaStorageSOPInstanceUID
    request._dataset_path = (path, offset)
    return request


def _wait(ready: Callable[[], Any]) -> None:
    until = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.02)


@needs_dcmtk
def test_a_data_set_is_kept_as_it_came(
    node: Any, kept: dict[str, bytes], incoming: Path, slices: list[Path], tmp_path: Path
) -> None:
    packed = pydicom.dcmread(slices[1])
    packed.compress(RLELossless, generate_instance_uid=False)
    packed.save_as(tmp_path / "packed.dcm")
    port = node()
    for path, proposed in ((slices[0], "-xe"), (tmp_path / "packed.dcm", "-xr")):
        words = [STORESCU, proposed, "-aec", "OVERREAD", "127.0.0.1", port, path]
        subprocess.run(list(map(str, words)), check=True, timeout=30)
        _, offset = split_dataset(path)
        file = kept[str(pydicom.dcmread(path).SOPInstanceUID)]
        assert file.endswith(path.read_bytes()[offset:])
        assert file[128:132] == b"DICM"
    assert list(incoming.iterdir()) == []


def test_the_real_images_are_taken(node: Any, kept: dict[str, bytes], shared: Path) -> None:
    files = sorted((shared / "data" / "brain-ct" / "dicom").rglob("*.dcm"))
    if not files or not STORESCU.exists():
        pytest.skip("the real DICOM slices, or dcmtk, are not here")
    words = [STORESCU, "-aec", "OVERREAD", "127.0.0.1", node(), *files]
    subprocess.run(list(map(str, words)), check=True, timeout=120)
    assert len(kept) == len(files)


def test_nothing_stays_of_an_image_that_breaks_off(
    node: Any, kept: dict[str, bytes], incoming: Path, slices: Any
) -> None:
    port = node()
    with _association(port) as association:
        message = C_STORE_RQ()
        message.primitive_to_message(_request(slices[0]))
        (context,) = association.accepted_contexts
        parts = list(message.encode_msg(context.context_id, 2048))
        for part in parts[:-1]:
            association.dul.send_pdu(part)
        _wait(lambda: list(incoming.iterdir()))
        association.abort()
    _wait(lambda: not list(incoming.iterdir()))
    assert kept == {}


def test_more_than_is_allowed_is_refused_and_the_association_goes_on(
    node: Any, kept: dict[str, bytes], incoming: Path, slices: list[Path], tmp_path: Path
) -> None:
    port = node(max_bytes=slices[0].stat().st_size + 1000)
    large = pydicom.dcmread(slices[1])
    large.PixelData = large.PixelData * 8
    large.save_as(tmp_path / "large.dcm")
    with _association(port) as association:
        answer = association.send_c_store(tmp_path / "large.dcm")
        assert (answer.Status, answer.ErrorComment) == (Status.TOO_LARGE, "overread: too-large")
        assert list(incoming.iterdir()) == []
        assert association.send_c_store(slices[0]).Status == Status.SUCCESS
    assert len(kept) == 1


def test_a_full_disk_is_said(node: Any, incoming: Path, slices: list[Path]) -> None:
    port = node()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        sent = _send(slices[0], port)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sent == Sent(outcome="again", said="0xA700 out of resources")
    assert list(incoming.iterdir()) == []
    assert _send(slices[0], port).outcome == "taken"


@pytest.mark.parametrize("other", [{"instance": "1.2.3"}, {"kind": CT}])
def test_another_data_set_than_the_command_says_is_refused(
    node: Any, kept: dict[str, bytes], slices: list[Path], tmp_path: Path, other: dict[str, str]
) -> None:
    path = slices[0]
    if "kind" in other:
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        path = tmp_path / "mr.dcm"
        dataset.save_as(path)
    with _association(node()) as association:
        (context,) = association.accepted_contexts
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(_request(path, **other), context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
    assert answer.Status == Status.DATA_SET_DOES_NOT_MATCH
    assert kept == {}


def test_what_is_no_data_set_cannot_be_understood(node: Any, slices: list[Path], tmp_path: Path) -> None:
    _, offset = split_dataset(slices[0])
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(slices[0].read_bytes()[:offset] + b"\xff" * 5000)
    with _association(node()) as association:
        (context,) = association.accepted_contexts
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(_request(broken), context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
    assert answer.Status in (Status.CANNOT_UNDERSTAND, Status.DATA_SET_DOES_NOT_MATCH)


def test_a_context_that_was_not_accepted_ends_the_association(
    node: Any, incoming: Path, slices: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with _association(node()) as association:
        message = C_STORE_RQ()
        message.primitive_to_message(_request(slices[0]))
        for part in message.encode_msg(99, 16382):
            association.dul.send_pdu(part)
        _wait(lambda: not association.is_established)
    assert list(incoming.iterdir()) == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_command_without_end_ends_the_association(node: Any) -> None:
    with _association(node()) as association:
        (context,) = association.accepted_contexts
        for _ in range(12):
            part = P_DATA()
            part.presentation_data_value_list = [[context.context_id, b"\x01" + bytes(16000)]]
            association.dul.send_pdu(part)
        _wait(lambda: association.is_aborted)


def test_a_pdu_beyond_all_measure_is_not_waited_for(node: Any) -> None:
    with socket.create_connection(("127.0.0.1", node()), timeout=10) as peer:
        peer.sendall(b"\x01\x00\x7f\xff\xff\xff")
        assert peer.recv(1) == b""


def test_who_is_silent_keeps_nobody_out(node: Any, slices: list[Path], tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    port = node(tls=tls)
    with socket.create_connection(("127.0.0.1", port)):
        begun = time.monotonic()
        assert _send(slices[0], port, tls).outcome == "taken"
        assert time.monotonic() - begun < 8


@needs_dcmtk
def test_dcmtk_speaks_tls_with_the_node(
    node: Any, kept: dict[str, bytes], slices: list[Path], tmp_path: Path
) -> None:
    tls = self_signed(tmp_path)
    port = node(tls=tls)
    end = ["-aec", "OVERREAD", "127.0.0.1", port, slices[0]]
    known = [STORESCU, "+tls", tls.key, tls.cert, "+cf", tls.cert, *end]
    assert subprocess.run(list(map(str, known)), timeout=30).returncode == 0
    unknown = [STORESCU, "+tla", "-ic", *end]
    assert subprocess.run(list(map(str, unknown)), timeout=30).returncode != 0
    assert len(kept) == 1


def test_there_are_no_more_associations_than_allowed(node: Any, slices: list[Path]) -> None:
    port = node(max_associations=1)
    with _association(port):
        sent = _send(slices[0], port)
        assert (sent.outcome, sent.away) == ("again", True)
        assert "limit" in sent.said
    _wait(lambda: _send(slices[0], port).outcome == "taken")


def test_connections_have_a_bound_of_their_own(
    node: Any, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a connection becomes an association while they are counted."""

    def count_slowly(listener: Listener) -> Any:
        active = super(Listener, listener).active_associations
        time.sleep(0.3)
        return active

    def begin_meanwhile(listener: Listener, *args: Any) -> None:
        time.sleep(0.05)
        super(Listener, listener).finish_request(*args)

    monkeypatch.setattr(Listener, "active_associations", property(count_slowly))
    monkeypatch.setattr(Listener, "finish_request", begin_meanwhile)
    port = node(max_associations=1)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
    try:
        assert silent[2].recv(1) == b""
    finally:
        for one in silent:
            one.close()
    _wait(lambda: _send(slices[0], port).outcome == "taken")


def test_who_may_not_call_takes_nobodys_place(node: Any, slices: list[Path]) -> None:
    port = node(max_associations=1, callers=Callers(networks=("127.0.0.1/32",)))
    strangers = [
        socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.3", 0)) for _ in range(4)
    ]
    try:
        assert [one.recv(1) for one in strangers] == [b""] * 4
        assert _send(slices[0], port).outcome == "taken"
    finally:
        for one in strangers:
            one.close()


def test_a_stop_lets_what_comes_in_come_to_an_end(incoming: Path, slices: list[Path]) -> None:
    begun = threading.Event()

    def take(path: Path, calling: str) -> None:
        begun.set()
        time.sleep(1)

    node = Node(NodeSettings(port=0), take, incoming=incoming)
    port, outcomes = node.start(), []
    sender = threading.Thread(target=lambda: outcomes.append(_send(slices[0], port).outcome))
    sender.start()
    assert begun.wait(10)
    node.stop()
    sender.join()
    assert outcomes == ["taken"]
    assert _send(slices[0], port).away


def test_a_data_set_is_not_gathered_in_memory(node: Any, incoming: Path, slices: list[Path], tmp_path: Path) -> None:
    """96 MB by eight bits a pixel, and the peak of memory."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from overread.serve.node import Node, NodeSettings\n"
        "node = Node(NodeSettings(port=0), lambda path, calling: None, incoming=Path(sys.argv[1]))\n"
        "print(node.start(), flush=True)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sys.stdin.read()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        "node.stop()\n"
    )
    dataset = pydicom.dcmread(slices[0])
    dataset.PixelData = bytes(96 << 20)
    dataset.save_as(tmp_path / "huge.dcm")
    words = [sys.executable, "-c", script, str(incoming)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert _send(tmp_path / "huge.dcm", port).outcome == "taken"
        grown_kb = int(process.communicate(timeout=30)[0])
    assert grown_kb < 48 << 10


def test_a_c_store_needs_a_data_set(node: Any, slices: list[Path]) -> None:
    request = _request(slices[0])
    del request._dataset_path
    with _association(node()) as association:
        (context,) = association.accepted_contexts
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
    assert answer is None or answer.Status == Status.CANNOT_UNDERSTAND


def test_a_fault_of_the_store_is_told_by_its_kind(node: Any, slices: list[Path]) -> None:
    def away(path: Path, calling: str) -> None:
        raise ServiceError("The database is away.", kind="store-away", status=503)

    with _association(node(take=away)) as association:
        answer = association.send_c_store(slices[0])
    assert (answer.Status, answer.ErrorComment) == (Status.OUT_OF_RESOURCES, "overread: store-away")
