from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.serve.conftest import self_signed

from overread.errors import ImageError, ServiceError, SettingsError
from overread.serve.contexts import image_classes, transfer_syntaxes
from overread.serve.node import Callers, Node, NodeSettings, status_of
from overread.serve.peers import TlsFiles, parse_destination, send
from overread.serve.statuses import Status

STORESCU, ECHOSCU = Path("/usr/bin/storescu"), Path("/usr/bin/echoscu")
needs_dcmtk = pytest.mark.skipif(not STORESCU.exists(), reason="dcmtk is not installed (Debian: dcmtk)")


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


def storescu(port: int, files: list[Path], *more: str) -> subprocess.CompletedProcess[str]:
    words = [STORESCU, "-v", "-aec", "OVERREAD", "-aet", "SCANNER", *more, "127.0.0.1", str(port), *files]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)


@needs_dcmtk
def test_a_scanner_is_heard_and_its_images_come_as_they_were(node: Any, slices: list[Path]) -> None:
    port, seen = node()
    echo = [str(ECHOSCU), "-aec", "OVERREAD", "127.0.0.1", str(port)]
    assert subprocess.run(echo, timeout=30).returncode == 0
    assert storescu(port, slices).returncode == 0
    assert seen == [f"SCANNER {pydicom.dcmread(path).SOPInstanceUID}" for path in slices]


@needs_dcmtk
def test_who_is_not_allowed_is_rejected(node: Any, slices: list[Path]) -> None:
    port, seen = node(callers=Callers(aets=("SCANNER",), networks=("127.0.0.0/8",)))
    assert storescu(port, slices[:1]).returncode == 0
    assert storescu(port, slices[:1], "-aet", "STRANGER").returncode != 0
    assert storescu(port, slices[:1], "-aec", "OTHER").returncode != 0
    elsewhere, unseen = node(callers=Callers(networks=("10.0.0.0/8",)))
    assert storescu(elsewhere, slices[:1]).returncode != 0
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
    tls = self_signed(tmp_path)
    port, seen = node(tls=tls)
    to = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    assert send(slices[0], to, own_aet="TEST").outcome == "again"
    assert send(slices[0], to, own_aet="TEST", tls=tls).outcome == "taken"
    assert len(seen) == 1


def test_who_signs_is_enough_to_send_over_tls(node: Any, slices: list[Path], tmp_path: Path) -> None:
    """Without a certificate of one's own; nothing is ever sent in the clear where TLS was asked for."""
    own = self_signed(tmp_path)
    alone = TlsFiles(ca=own.cert)
    secure, _ = node(tls=TlsFiles(cert=own.cert, key=own.key))
    plain, seen = node(tls=alone)
    to = parse_destination(f"OVERREAD@127.0.0.1:{secure}")
    assert send(slices[0], to, own_aet="TEST", tls=alone).outcome == "taken"
    to = parse_destination(f"OVERREAD@127.0.0.1:{plain}")
    assert send(slices[0], to, own_aet="TEST", tls=alone).outcome == "again"
    assert seen == []
    assert send(slices[0], to, own_aet="TEST").outcome == "taken"


def test_what_is_offered_is_what_can_be_read() -> None:
    assert "1.2.840.10008.5.1.4.1.1.2" in image_classes()
    assert "1.2.840.10008.5.1.4.1.1.88.34" not in image_classes()
    assert {"1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"} <= set(transfer_syntaxes())


@pytest.mark.parametrize(
    "text",
    [
        *("PACS", "PACS@host", "@host:1", "PACS@host:0", "a@b@c:1", "ftp://x", "x" * 17 + "@h:1"),
        *("P\u00c4CS@h:104", "P\tA@h:104", "PA\\CS@h:104", "PACS@h:\u0661\u0660\u0664"),
        *("http://h:99999/dicom-web", "https://h:x/dicom-web", "http://:80/", "http://[zz]/"),
    ],
)
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="destination"):
        parse_destination(text)


def test_hosts_of_every_kind_are_destinations() -> None:
    assert parse_destination("PACS@my_pacs:104").host == "my_pacs"
    assert parse_destination("PACS@[::1]:104").host == "::1"
    assert parse_destination("https://[::1]:8042/dicom-web/").url == "https://[::1]:8042/dicom-web"


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="give --send-auth") as fault:
        parse_destination("https://lee:geheim@pacs/dicom-web")
    assert "geheim" not in str(fault.value)


@pytest.mark.parametrize("aet", ["", "   ", "x" * 17, "A\\B", "A\tB", "P\u00c4CS"])
def test_what_is_no_ae_title_is_refused(aet: str) -> None:
    with pytest.raises(SettingsError, match=r"--aet .* is no AE title"):
        NodeSettings(aet=aet)
    with pytest.raises(SettingsError, match=r"--allow-aet .* is no AE title"):
        Callers(aets=("CT1", aet))


def test_an_address_that_is_no_network_is_named() -> None:
    with pytest.raises(SettingsError, match="--allow-address"):
        Callers(networks=("10.0.0.0/33",))


def test_who_calls_by_ipv4_is_known_where_ipv6_is_listened_at_too() -> None:
    callers = Callers(networks=("10.0.0.0/24", "fe80::/10"))
    assert callers.allows("10.0.0.5")
    assert callers.allows("::ffff:10.0.0.5")
    assert callers.allows("fe80::1%eth0")
    assert not callers.allows("::ffff:10.0.1.5")


def test_where_it_cannot_listen_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--bind 192\.0\.2\.1"):
        Node(NodeSettings(bind="192.0.2.1", port=0), lambda *_: None, incoming=tmp_path).start()
    with pytest.raises(SettingsError, match="--bind is empty"):
        NodeSettings(bind="")
