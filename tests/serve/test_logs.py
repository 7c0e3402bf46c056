from __future__ import annotations

import subprocess
import sys

_ODD = """
from pydicom import Dataset
from overread.serve.logs import ready_logs
ready_logs()
odd = Dataset()
odd.SOPInstanceUID = "1.2.MILLER"
odd.StudyID = "MILLER AND A LONG NUMBER"
odd.BodyPartExamined = "Miller"
print("done")
"""


def test_what_a_library_warns_of_tells_no_value() -> None:
    words = [sys.executable, "-W", "default", "-c", _ODD]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "done\n"
    assert "miller" not in said.stderr.lower()
