"""Which kinds of maps may be shown of a model: what its explanation.json says of their controls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overread.errors import ModelError
from overread.model import bundle

FILE = "explanation.json"


def failed_methods(content: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Of the plain values of `explanation.json`: for each method that was checked, the controls that it failed."""
    checks: Mapping[str, Any] = content.get("checks", {})
    return {
        method: tuple(one["title"] for one in controls if one["passed"] is False)
        for method, controls in checks.items()
    }


def failed_controls(folder: Path, files: Mapping[str, str], method: str) -> tuple[str, ...] | None:
    """The controls that maps of a method failed on a model; None where they were not checked.

    files: the hashes of the folder's files, as its card has them. Raises ModelError.
    """
    if FILE not in files:
        return None
    try:
        return failed_methods(json.loads(bundle.read_verified(folder, FILE, files))).get(method)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ModelError(f"{FILE} in {folder} cannot be read: {fault}.") from fault
