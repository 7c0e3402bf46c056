from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

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
        ("Something else", "error", "Something else"),
    ],
)
def test_a_silent_peer_is_no_error_of_ours(said: str, level: str, what: str) -> None:
    record = logging.LogRecord("pynetdicom.assoc", logging.ERROR, "association.py", 1, said, None, None)
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["what"]) == (level, what)
