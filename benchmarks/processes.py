"""A process and all below it, as Linux tells of them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            listed = "".join(path.read_text() for path in Path(f"/proc/{one}/task").glob("*/children"))
        except OSError:
            continue
        found += [int(child) for child in listed.split()]
    return found


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """What `/proc` says of the memory of a process and all below it, together. Raises OSError where it has ended."""
    Path(f"/proc/{pid}/status").read_text()
    total = 0
    for one in family(pid):
        with suppress(OSError):  # a child may end at any time
            found = re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{one}/status").read_text())
            total += int(found.group(1)) if found else 0
    return total / 1024
