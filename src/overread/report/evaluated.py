"""What `evaluation.json` says that a manuscript needs: calibration, sets, subgroups, thresholds and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overread.evaluate.score import Score
from overread.stats.intervals import Measured


@dataclass(frozen=True, kw_only=True)
class ClassCalibration:
    """Whether the probabilities of one class mean what they say."""

    label: str
    error: float
    """expected calibration error, as found"""
    by_chance: float
    """what perfectly calibrated probabilities would show"""
    p: float
    slope: Measured
    intercept: Measured


@dataclass(frozen=True, kw_only=True)
class Group:
    """Figures of the tested patients of one kind; None where they are too few."""

    fact: str
    value: str
    n_images: int
    n_patients: int | None
    accuracy: Measured | None
    auroc: Measured | None


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One class against the rest, at a threshold that was chosen on another part."""

    label: str
    value: float
    rule: str
    chosen_on: str
    prevalence: float
    """that the predictive values hold for"""
    figures: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The second read of a model, as far as it is reported."""

    verdict: str
    reasons: tuple[str, ...]
    """what speaks against believing the model, or for care"""
    by_patient: Score | None
    calibration: tuple[ClassCalibration, ...]
    temperature: str
    """what probabilities were divided by, and where that comes from"""
    coverage: Measured | None
    """share of the test images whose set of classes holds the true one; None without sets"""
    thresholds: tuple[Threshold, ...]
    groups: tuple[Group, ...]


def parse_evaluated(content: Mapping[str, Any]) -> Evaluated:
    """Read the values of `evaluation.json`. KeyError, TypeError or ValueError where they are of another form."""
    calibration, given, pooled = content["calibration"], content["certainty"]["given"], content["by_patient"]
    return Evaluated(
        verdict=content["verdict_in_words"],
        reasons=tuple(one["text"] for one in content["verdict"]["reasons"] if one["grade"] != "good"),
        by_patient=None if pooled is None else Score.from_json(pooled),
        calibration=tuple(map(_calibration, calibration["by_class"])),
        temperature=f"{float(calibration['temperature']):.3g}, {calibration['why']}",
        coverage=None if given is None else Measured.from_json(given["coverage"]),
        thresholds=tuple(map(_threshold, content["operating"])),
        groups=tuple(map(_group, content["groups"])),
    )


def _calibration(one: Mapping[str, Any]) -> ClassCalibration:
    error, line = one["error"], one["line"]
    return ClassCalibration(
        label=one["label"],
        error=_number(error["value"]),
        by_chance=_number(error["expected"]),
        p=_number(error["p"]),
        slope=Measured.from_json(line["slope"]),
        intercept=Measured.from_json(line["intercept"]),
    )


def _group(one: Mapping[str, Any]) -> Group:
    return Group(
        fact=one["fact"],
        value=one["value"],
        n_images=one["n_images"],
        n_patients=one["n_patients"],
        accuracy=_if_there(one["accuracy"]),
        auroc=_if_there(one["auroc"]),
    )


def _threshold(one: Mapping[str, Any]) -> Threshold:
    return Threshold(
        label=one["label"],
        value=float(one["threshold"]),
        rule=one["rule"],
        chosen_on=one["chosen_on"],
        prevalence=_number(one["prevalence"]),
        figures=tuple(map(Measured.from_json, one["figures"])),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _if_there(values: Mapping[str, Any] | None) -> Measured | None:
    return None if values is None else Measured.from_json(values)


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What `explanation.json` says."""

    method: str
    says: tuple[str, ...]
    checks: Mapping[str, tuple[int, tuple[str, ...]]]
    """by kind of map: how many controls it was put through, and the titles of those that it failed"""


def parse_explained(content: Mapping[str, Any]) -> Explained:
    """Undo the plain values of `explanation.json`. Raises KeyError, ValueError or TypeError where they are none."""
    return Explained(
        method=str(content["method"]),
        says=tuple(map(str, content["says"])),
        checks={
            str(kind): (
                sum(one["passed"] is not None for one in controls),
                tuple(str(one["title"]) for one in controls if one["passed"] is False),
            )
            for kind, controls in content["checks"].items()
        },
    )
