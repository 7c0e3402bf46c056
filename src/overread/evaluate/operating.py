"""What the model does where it must say yes or no: at a threshold that was chosen on other images."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.errors import SettingsError
from overread.evaluate.predictions import Predictions
from overread.stats.intervals import Measured
from overread.stats.likelihood import likelihood_ratios, predictive_values
from overread.stats.means import measured_share
from overread.stats.operating import (
    DecisionCurve,
    OperatingPoint,
    decision_curve,
    reaching_sensitivity,
    reaching_specificity,
    youden,
)
from overread.stats.patients import of_some

RULE = "youden"
_RULES = re.compile(r"(sensitivity|specificity)=(0?\.[0-9]+|1(?:\.0+)?)")
_PRICES = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True, kw_only=True)
class Operating:
    """One class against the rest, at one threshold."""

    label: str
    threshold: float
    rule: str
    """how the threshold was chosen, a phrase to print"""
    chosen_on: str
    figures: tuple[Measured, ...]
    """sensitivity, specificity, likelihood ratios, and predictive values at `prevalence`"""
    prevalence: float
    decision: DecisionCurve


def operate(
    chosen_on: Predictions,
    tested_on: Predictions,
    *,
    labels: Sequence[str],
    rule: str = RULE,
    prevalence: float | None = None,
    part: str,
) -> tuple[Operating, ...]:
    """Choose a threshold for each class of `labels` on one part, and measure it on another.

    rule: "youden", "sensitivity=0.95" or "specificity=0.9". prevalence: of the class where the model is to be used,
    for predictive values; None takes that of the tested patients. A class that one of the parts lacks, or that all
    of its images are of, is left out. Raises SettingsError for another rule.
    """
    check_rule(rule)
    found = []
    for code in map(tested_on.classes.index, labels):
        sides = [part_.truth == code for part_ in (chosen_on, tested_on)]
        if all(side.any() and not side.all() for side in sides):
            point = _choose(rule, chosen_on, code)
            found.append(_measure(point, tested_on, code, prevalence=prevalence, part=part, chosen=chosen_on))
    return tuple(found)


def check_rule(rule: str) -> None:
    """Refuse words that name no operating point. Raises SettingsError."""
    if rule != RULE and not _RULES.fullmatch(rule):
        raise SettingsError(
            f"--operating {rule} is not known; it is youden, sensitivity=0.95 or specificity=0.9 (any share up to 1)."
        )


def _choose(rule: str, on: Predictions, code: int) -> OperatingPoint:
    positive, scores = on.truth == code, on.probabilities[:, code]
    if rule == RULE:
        return youden(positive, scores, on.known_patients)
    name, _, target = rule.partition("=")
    reach = reaching_sensitivity if name == "sensitivity" else reaching_specificity
    return reach(positive, scores, float(target), on.known_patients)


def _measure(
    point: OperatingPoint, on: Predictions, code: int, *, prevalence: float | None, part: str, chosen: Predictions
) -> Operating:
    ill, called = on.truth == code, on.probabilities[:, code] >= point.threshold
    patients, label = on.known_patients, on.classes[code]
    curve = decision_curve(ill, on.probabilities[:, code], _PRICES, prevalence=prevalence, patients=patients)
    ratios = likelihood_ratios(ill, called, patients)
    values = predictive_values(ratios, curve.prevalence)
    figures = [
        measured_share("sensitivity", called[ill], of_some(patients, ill)),
        measured_share("specificity", ~called[~ill], of_some(patients, ~ill)),
        ratios.positive,
        ratios.negative,
        values.positive,
        values.negative,
    ]
    return Operating(
        label=label,
        threshold=point.threshold,
        rule=point.rule,
        chosen_on=chosen.parts[0],
        figures=tuple(dataclasses.replace(figure, label=label, part=part) for figure in figures),
        prevalence=curve.prevalence,
        decision=curve,
    )
