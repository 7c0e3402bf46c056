"""Paths as a report may show them: without the identifiers of patients, by which folders are often named."""

from __future__ import annotations

import re
from collections.abc import Collection

from overread.data.rows import patient_hash

SHORTEST = 5
"""characters of an identifier that is hidden: what is shorter (`P7`) was made up for a study, and finds nobody"""
_BETWEEN = re.compile(r"([/\\\s=()\[\]]+)")
_PIECES = re.compile(r"([._-]+)")


def hide_patients(text: str, hashes: Collection[str]) -> str:
    """Put the hash of a patient in the place of each identifier in a text of paths.

    hashes: those of all patients who may be named. An identifier is found where it is a folder's or a file's name, or
    a piece of one between dots, dashes and underscores.

    >>> hide_patients("tumor/Doe_1970/CT-1/001.dcm", {patient_hash("Doe_1970")})
    'tumor/74a911da/CT-1/001.dcm'
    """
    return "".join(_hide(part, hashes) for part in _BETWEEN.split(text))


def _hide(part: str, hashes: Collection[str]) -> str:
    """One name: as a whole, then by ever fewer of its pieces."""
    pieces = _PIECES.split(part)
    for n in range(len(pieces), 0, -2):
        for start in range(0, len(pieces) - n + 1, 2):
            tried = "".join(pieces[start : start + n])
            if len(tried) >= SHORTEST and (known := patient_hash(tried)) in hashes:
                before, after = "".join(pieces[:start]), "".join(pieces[start + n :])
                return _hide(before, hashes) + known + _hide(after, hashes)
    return part
