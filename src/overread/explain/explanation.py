"""All that is known of how a network decides: where it looks, what lies near what, and what its maps have stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from overread.explain.controls import Check
from overread.explain.looking import Looking
from overread.explain.space import Clustering, Space, sentence
from overread.explain.where import CLASS_MAP

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a report tells of how a network decides."""

    method: str
    """how the maps of evidence are made, in words"""
    looking: Looking
    space: Space | None = None
    """what the features of the images that it has not learnt from are sorted by"""
    checks: tuple[Check, ...] = ()
    """what maps have stood, by method; none where they were not checked"""

    @property
    def is_withheld(self) -> bool:
        """Whether the maps that come with a prediction failed their controls."""
        return any(check.failed for check in self.checks if check.method == CLASS_MAP)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `explanation.json`."""
        places = [
            {
                "region": place.region,
                "answer": place.label,
                "share": place.share.to_json(),
                "area": place.area,
                "peak": place.peak.to_json(),
            }
            for place in self.looking.places
        ]
        sorted_by = [] if self.space is None else [_plain(one) for one in self.space.clusterings]
        return {
            "schema": SCHEMA,
            "method": self.method,
            "says": [*self.looking.sentences(), *([] if self.space is None else [sentence(self.space)])],
            "places": places,
            "sorted_by": sorted_by,
            "checks": {check.method: check.to_json() for check in self.checks},
        }


def _plain(one: Clustering) -> dict[str, Any]:
    return {
        "fact": one.fact,
        "n_values": one.n_values,
        "purity": one.purity.to_json(),
        "expected": one.expected,
        "silhouette": one.silhouette.to_json(),
    }
