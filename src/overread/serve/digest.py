"""The digest of an answer: the trail keeps it, so that a change of the answer is found out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FORM = 2
"""of the digests that are made now; those of form 1 leave out the maps, the nearest images and the time"""
FORMS = (1, 2)
_FIRST = ("frame", "model", "label", "probabilities", "classes", "abstains", "problem")
_MORE = ("maps_shape", "nearest", "answered_at")


def digest_of(answer: Mapping[str, Any], *, form: int = FORM) -> str:
    """SHA-256 of what a row of the table of answers says. form: one of FORMS."""
    said = [answer[name] for name in _FIRST]
    if form == FORM:
        said += [answer[name] for name in _MORE]
        maps = answer["maps"]
        # SQLite takes text for bytes, from whoever writes it there by hand
        said.append(hashlib.sha256(maps if isinstance(maps, bytes) else str(maps).encode()).hexdigest())
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
