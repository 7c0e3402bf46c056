from __future__ import annotations

import subprocess
import sys


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
