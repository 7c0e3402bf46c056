"""Paths as a report may show them: without the identifiers of patients, by which folders are often named."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from overread.data.rows import patient_hash

SHORTEST = 5
"""characters of an identifier that is hidden: what is shorter (`P7`) was made up for a study, and finds nobody"""
_BETWEEN = re.compile(r"([/\\]+)")
_PIECES = re.compile(r"([._\-\s=()\[\]])")
_MOST_PIECES = 32
"""that an identifier is looked for in: of "Doe (1970)" there are five"""


def hide_patients(text: str, hashes: Collection[str]) -> str:
    """Put the hash of a patient in the place of each identifier in a text of paths.

    hashes: those of all patients who may be named. An identifier is found where it is a folder's or a file's name, or
    a piece of one between dots, dashes, underscores, spaces, brackets and equals signs, which it may hold itself.

    >>> hide_patients("tumor/Doe_1970/CT-1/001.dcm", {patient_hash("Doe_1970")})
    'tumor/74a911da/CT-1/001.dcm'
    """
    parts = ([piece for piece in _PIECES.split(part) if piece] for part in _BETWEEN.split(text))
    return "".join(_hide(pieces, hashes) for pieces in parts)


def _hide(pieces: Sequence[str], hashes: Collection[str]) -> str:
    """One name: as a whole, then by ever fewer of its pieces."""
    for n in range(min(len(pieces), _MOST_PIECES), 0, -1):
        for start in range(len(pieces) - n + 1):
            tried = "".join(pieces[start : start + n])
            if len(tried) >= SHORTEST and (known := patient_hash(tried)) in hashes:
                return _hide(pieces[:start], hashes) + known + _hide(pieces[start + n :], hashes)
    return "".join(pieces)
