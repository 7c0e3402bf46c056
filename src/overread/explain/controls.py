"""What a map of evidence must stand before anybody believes it: each control a number with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.explain.faith import Faith
from overread.stats.heatmaps import rank_similarity
from overread.stats.intervals import Measured
from overread.stats.means import measured_mean, measured_share

ALIKE = 0.5
"""rank correlation from which on two maps count as alike"""
TITLES = {
    "weights": "other weights, another map",
    "labels": "labels without meaning, another map",
    "noise": "the same map under noise that nobody sees",
    "repeat": "the same map from a second training",
    "deletion": "the answer goes with what it marks",
    "insertion": "the answer comes with what it marks",
    "lesions": "on the lesion",
}
REFERENCES = {
    "weights": "Adebayo et al. 2018",
    "labels": "Adebayo et al. 2018",
    "noise": "Yeh et al. 2019",
    "repeat": "Arun et al. 2021",
    "deletion": "Petsiuk et al. 2018; Rong et al. 2022",
    "insertion": "Petsiuk et al. 2018; Rong et al. 2022",
    "lesions": "Zhang et al. 2018; Wang et al. 2020",
}
Maps = Sequence[NDArray[np.float32]] | NDArray[np.float32]
Patients = Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Control:
    """One thing that maps of a method must stand, and how they did."""

    name: str
    """a key of `TITLES`"""
    value: Measured | None = None
    wanted: str = ""
    passed: bool | None = None
    """None where it was not asked"""
    why: str = ""
    """why it was not asked"""
    rows: tuple[tuple[str, Measured], ...] = ()
    """its parts: by stage of the network, or beside maps that know nothing of it"""

    @property
    def title(self) -> str:
        """What it asks, in words."""
        return TITLES[self.name]


@dataclass(frozen=True, kw_only=True)
class Check:
    """All controls of one kind of map on one model."""

    method: str
    controls: tuple[Control, ...]

    @property
    def failed(self) -> tuple[Control, ...]:
        """Those that it did not pass."""
        return tuple(one for one in self.controls if one.passed is False)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        asked = [one for one in self.controls if one.passed is not None]
        if not self.failed:
            which = f"all {len(asked)} controls" if len(asked) > 1 else "the one control"
            return f"Maps of the kind {self.method} passed {which} that {'were' if len(asked) > 1 else 'was'} asked."
        names = "; ".join(one.title for one in self.failed)
        return f"Maps of the kind {self.method} failed {len(self.failed)} of {len(asked)} controls: {names}."

    def with_earlier(self, earlier: Check) -> Check:
        """The same with what an earlier check found of the controls that this one did not ask."""
        known = {one.name: one for one in earlier.controls}
        controls = tuple(known.get(one.name, one) if one.value is None else one for one in self.controls)
        return Check(method=self.method, controls=controls)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values, a control each."""
        return [
            {
                "name": one.name,
                "title": one.title,
                "passed": one.passed,
                "value": None if one.value is None else one.value.to_json(),
                "wanted": one.wanted,
                "why": one.why,
                "rows": [{"of": name, **value.to_json()} for name, value in one.rows],
            }
            for one in self.controls
        ]

    @classmethod
    def from_json(cls, method: str, controls: Sequence[Mapping[str, Any]]) -> Check:
        """Undo `to_json`. Raises KeyError, TypeError or ValueError where there is nothing to undo."""
        return cls(method=method, controls=tuple(map(_control, controls)))


def _control(values: Mapping[str, Any]) -> Control:
    if values["name"] not in TITLES:
        raise ValueError(f"{values['name']} is no control")
    return Control(
        name=values["name"],
        value=None if values["value"] is None else Measured.from_json(values["value"]),
        wanted=str(values["wanted"]),
        passed=values["passed"],
        why=str(values["why"]),
        rows=tuple((str(row["of"]), _row(row)) for row in values["rows"]),
    )


def _row(values: Mapping[str, Any]) -> Measured:
    return Measured.from_json({key: value for key, value in values.items() if key != "of"})


def keep_earlier(found: Sequence[Check], earlier: Sequence[Check]) -> tuple[Check, ...]:
    """All that is known of a model's maps: what was found now, and of what was not asked now what was found before.

    Without this a check of less would lift the withholding that a check of more had brought.
    """
    known = {check.method: check for check in earlier}
    for check in found:
        known[check.method] = check.with_earlier(known[check.method]) if check.method in known else check
    return tuple(known.values())


def similarity(one: Maps, other: Maps, patients: Patients, *, name: str = "similarity") -> Measured:
    """Mean rank correlation of n pairs of maps, with its interval by patient; a map that is even is like no other."""
    found = [rank_similarity(a, b) for a, b in zip(one, other, strict=True)]
    return measured_mean(name, np.nan_to_num(found), patients)


def unlike(name: str, stages: Sequence[tuple[str, Measured]]) -> Control:
    """A control that wants maps to be unlike: the last of the stages decides."""
    value = stages[-1][1]
    return Control(
        name=name,
        value=value,
        wanted=f"rank correlation below {ALIKE:g}",
        passed=_high(value) < ALIKE,
        rows=tuple(stages) if len(stages) > 1 else (),
    )


def alike(name: str, value: Measured) -> Control:
    """A control that wants maps to be alike."""
    return Control(name=name, value=value, wanted=f"rank correlation above {ALIKE:g}", passed=_low(value) > ALIKE)


def faithful(found: Faith) -> tuple[Control, Control]:
    """Deletion must fall, and insertion rise, faster than with a map drawn by lot; the others stand beside it."""
    drawn = found.against["random"]
    rows = [
        [
            ("area under the curve", area),
            *((f"less that of {name}", both[at]) for name, both in found.against.items()),
        ]
        for at, area in enumerate((found.deletion, found.insertion))
    ]
    return (
        Control(
            name="deletion",
            value=drawn[0],
            wanted="below 0: faster than by lot",
            passed=_high(drawn[0]) < 0,
            rows=tuple(rows[0]),
        ),
        Control(
            name="insertion",
            value=drawn[1],
            wanted="above 0: faster than by lot",
            passed=_low(drawn[1]) > 0,
            rows=tuple(rows[1]),
        ),
    )


def on_lesions(
    hits: Mapping[str, Sequence[bool]], energy: Mapping[str, Sequence[float]], patients: Patients, *, method: str
) -> Control:
    """Maps must point at the lesion more often than the middle of the picture does.

    hits, energy: of the method and of each kind of map that knows nothing of the network, image by image.
    """
    rows = []
    for name in hits:
        label = "this map" if name == method else name
        rows.append((f"points at it: {label}", measured_share("pointing", np.array(hits[name]), patients)))
        inside = np.nan_to_num(np.array(energy[name], float))
        rows.append((f"share inside: {label}", measured_mean("energy", inside, patients)))
    own, middle = (np.array(hits[name], float) for name in (method, "centre"))
    more = measured_mean("pointing_difference", own - middle, patients)
    return Control(
        name="lesions", value=more, wanted="above 0: oftener than the middle", passed=_low(more) > 0, rows=tuple(rows)
    )


def not_asked(name: str, why: str) -> Control:
    """A control that was left out, and why."""
    return Control(name=name, why=why)


def _low(value: Measured) -> float:
    """The low end; the value where there is no interval."""
    return value.value if math.isnan(value.low) else value.low


def _high(value: Measured) -> float:
    return value.value if math.isnan(value.high) else value.high
