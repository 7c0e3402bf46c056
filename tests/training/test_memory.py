from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy
from overread.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        numpy.ones(2_000_000)  # 16 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before, kept = faults(), keep_freed_memory()
numpy.ones(2_000_000)
print(kept, before, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the C library of Linux")
def test_what_is_freed_is_not_mapped_anew() -> None:
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, before, after = said.stdout.split()
    if kept == "False":
        pytest.skip("the C library is not glibc")
    assert int(after) < int(before) / 4
