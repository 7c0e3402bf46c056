"""Which kinds of maps may be shown of a model: what its explanation.json says of their controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FILE = "explanation.json"


def failed_methods(content: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Of the plain values of `explanation.json`: for each method that was checked, the controls that it failed."""
    checks: Mapping[str, Any] = content.get("checks", {})
    return {
        method: tuple(one["title"] for one in controls if one["passed"] is False)
        for method, controls in checks.items()
    }
