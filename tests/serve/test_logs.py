from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serve.conftest import self_signed

from overread.serve.logs import JsonLines


def test_what_a_library_warns_of_is_not_written() -> None:
    """A library says which value is odd; the value may be a name."""
    script = (
        "import sys; from pydicom import Dataset; from overread.serve.logs import ready_logs\n"
        "if sys.argv[1] == 'ready': ready_logs()\n"
        "Dataset().StudyInstanceUID = 'Jane Doe'"
    )
    heard = {}
    for state in ("ready", "not"):
        words = [sys.executable, "-c", script, state]
        heard[state] = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    assert "Jane Doe" in heard["not"]
    assert heard["ready"] == ""


@pytest.mark.parametrize(
    ("said", "level", "what"),
    [
        ("Network timeout reached", "warning", "a peer was silent for a minute, and its association was ended"),
        ("TCP Initialisation Error: [Errno 111] Connection refused", "warning", "a peer could not be reached"),
        ("Connection closed while waiting for DIMSE message", "warning", "a peer hung up before it answered"),
        ("DIMSE timeout reached while waiting", "warning", "a peer did not answer in time"),
        ("Association Rejected", "warning", "a peer rejected an association"),
        ("Cancel 1 running task(s), timeout", "warning", "requests in hand were ended: the service was told to stop"),
        ("Something else", "error", "Something else"),
    ],
)
def test_a_silent_peer_is_no_error_of_ours(said: str, level: str, what: str) -> None:
    record = logging.LogRecord("pynetdicom.assoc", logging.ERROR, "association.py", 1, said, None, None)
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["what"]) == (level, what)


def test_a_peer_of_another_certificate_is_no_error_of_ours(tmp_path: Path) -> None:
    """And the log says what was wrong."""
    own = self_signed(tmp_path)
    script = (
        "import sys, ssl, threading; from pathlib import Path; from overread.serve.node import Node, NodeSettings\n"
        "from overread.serve.peers import TlsFiles; from pynetdicom import AE\n"
        "from pynetdicom.sop_class import Verification\n"
        f"tls = TlsFiles(cert=Path({str(own.cert)!r}), key=Path({str(own.key)!r}))\n"
        f"node = Node(NodeSettings(port=0), lambda *_: None, incoming=Path({str(tmp_path)!r}), tls=tls)\n"
        "ae = AE(); ae.add_requested_context(Verification)\n"
        "ae.associate('127.0.0.1', node.start(), tls_args=(ssl.create_default_context(), '127.0.0.1')); node.stop()"
    )
    lines = _said(script)
    assert {line["level"] for line in lines} == {"warning"}
    assert "a peer and we do not agree on TLS: CERTIFICATE_VERIFY_FAILED" in [line["what"] for line in lines]


def _said(script: str) -> list[dict[str, object]]:
    """The log of a process of its own: what is made ready is the whole process's."""
    script = "import asyncio, logging; from overread.serve.logs import ready_logs; ready_logs()\n" + script
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr
    return [json.loads(line) for line in said.splitlines()]


def test_a_request_that_the_stop_ended_is_told_once() -> None:
    (line,) = _said(
        "for fault in (asyncio.CancelledError(), ValueError()):\n"
        "    logging.getLogger('uvicorn.error').error('Exception in ASGI application', exc_info=fault)"
    )
    assert line["fault"] == "ValueError"


def test_a_peer_that_is_away_is_a_line_of_the_log() -> None:
    """Said twice by pynetdicom; and python_multipart says of each odd body what is odd."""
    (line,) = _said(
        "from pynetdicom import AE; from pynetdicom.sop_class import Verification\n"
        "ae = AE(); ae.add_requested_context(Verification); ae.associate('127.0.0.1', 1)\n"
        "logging.getLogger('python_multipart.multipart').warning('Expected boundary character 45')"
    )
    assert (line["level"], line["what"]) == ("warning", "a peer could not be reached")


def test_what_strangers_bring_about_is_told_seldom_and_without_their_words() -> None:
    """Below its first line asyncio says what it was about; a process without descriptors says it without an end."""
    lines = _said(
        "log = logging.getLogger('asyncio')\n"
        "def say(what, fault):\n"
        "    log.error(what + '\\nsocket: <Jane Doe>', exc_info=fault)\n"
        "for number in range(1000): say('no descriptors', OSError('Jane Doe'))\n"
        "say('no descriptors', ValueError('Jane Doe')); say('another', OSError())\n"
        "import overread.serve.logs as logs; logs.time.monotonic = lambda: 1e12\n"
        "say('no descriptors', OSError())\n"
        "for _ in range(3): logging.getLogger('overread.serve.access').info('request')"
    )
    told = [(line["what"], line.get("fault")) for line in lines]
    faults = [("no descriptors", "OSError"), ("no descriptors", "ValueError"), ("another", "OSError")]
    assert told == [*faults, faults[0], *[("request", None)] * 3]
    assert "Jane" not in str(lines)
