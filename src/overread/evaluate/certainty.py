"""What the model's doubt is worth: sets that hold the truth, abstentions, and what a human would have to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overread.evaluate.predictions import Predictions
from overread.model.caution import Caution
from overread.stats.conformal import Kind, Refused, Strangeness, calibrate_sets
from overread.stats.coverage import SetReport, set_report
from overread.stats.intervals import Measured
from overread.stats.means import measured_share
from overread.stats.selective import RiskCoverage, risk_coverage
from overread.stats.triage import TriageReport, TriageRule, bound_rates, triage_report

KINDS: tuple[Kind, ...] = ("lac", "aps", "raps")
MISSED, ALARMED = 0.05, 0.05
"""risks that triage is asked to keep: the ill who are ruled out, and the healthy who are ruled in"""


@dataclass(frozen=True, kw_only=True)
class Sets:
    """One way to make sets, and what they did on the tested images; or why there are none."""

    kind: str
    by_class: bool
    report: SetReport | None
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Triage:
    """Which patients could be left out of a human's reading, for one class against the rest."""

    label: str
    rule: TriageRule
    report: TriageReport


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """Sets, distance, abstention and triage on the tested images."""

    given: SetReport | None
    """the sets that a prediction of this model names; None where it names none"""
    why: str
    compared: tuple[Sets, ...]
    far: Measured | None
    """share of the images that are too unlike the training images; None without a limit"""
    far_why: str
    abstained: Measured
    """share of the images for which the model names no class, or more than one"""
    answered: Measured | None
    """accuracy on the others; None where there are none"""
    risk: RiskCoverage
    triage: tuple[Triage, ...]


def certainty(
    calibration: Predictions, tested: Predictions, *, caution: Caution, labels: Sequence[str], part: str
) -> Certainty:
    """Measure what the model's `caution` does on images that it was not fitted on; triage for each of `labels`."""
    patients = tested.known_patients
    sets, far = caution.sets(tested.probabilities), None
    if tested.distance is not None:
        far = caution.far(tested.distance)
    right = tested.probabilities.argmax(axis=1) == tested.truth
    silent = np.zeros(len(tested), bool) if far is None else far.copy()
    if sets is not None:
        silent |= sets.sum(axis=1) != 1
    answered = None
    if not silent.all():
        spoken = tested.subset(np.flatnonzero(~silent))
        answered = measured_share("accuracy where it answers", right[~silent], spoken.known_patients)
    return Certainty(
        given=None if sets is None else _of_part(set_report(tested.truth, sets, patients), tested.classes, part),
        why=caution.sets_why,
        compared=tuple(
            _sets(calibration, tested, kind, by_class, caution.alpha, part)
            for by_class in (False, True)
            for kind in KINDS
        ),
        far=None if far is None else _named(measured_share("too unlike the training images", far, patients), part),
        far_why=caution.far_why,
        abstained=_named(measured_share("not answered with one class", silent, patients), part),
        answered=answered and _named(answered, part),
        risk=risk_coverage(~right, tested.probabilities.max(axis=1), patients),
        triage=tuple(_triage(calibration, tested, label) for label in labels),
    )


def _sets(calibration: Predictions, tested: Predictions, kind: Kind, by_class: bool, alpha: float, part: str) -> Sets:
    rule = calibrate_sets(
        calibration.truth,
        calibration.probabilities,
        alpha=alpha,
        strangeness=Strangeness(kind=kind),
        by_class=by_class,
        patients=calibration.known_patients,
    )
    if isinstance(rule, Refused):
        return Sets(kind=kind, by_class=by_class, report=None, refused=_with_names(rule.reason, tested.classes))
    report = set_report(tested.truth, rule.sets(tested.probabilities), tested.known_patients)
    return Sets(kind=kind, by_class=by_class, report=_of_part(report, tested.classes, part))


def _with_names(reason: str, classes: Sequence[str]) -> str:
    for code in reversed(range(len(classes))):
        reason = reason.replace(f"class {code}:", f"{classes[code]}:")
    return reason


def _of_part(report: SetReport, classes: Sequence[str], part: str) -> SetReport:
    return SetReport(
        coverage=_named(report.coverage, part),
        coverage_by_class=tuple(
            dataclasses.replace(_named(one, part), label=name)
            for one, name in zip(report.coverage_by_class, classes, strict=True)
        ),
        size=_named(report.size, part),
        single=_named(report.single, part),
        empty=_named(report.empty, part),
    )


def _named(figure: Measured, part: str) -> Measured:
    return dataclasses.replace(figure, part=part)


def _triage(calibration: Predictions, tested: Predictions, label: str) -> Triage:
    code = tested.classes.index(label)
    rule = bound_rates(
        calibration.truth == code,
        calibration.probabilities[:, code],
        calibration.known_patients,
        missed=MISSED,
        alarmed=ALARMED,
    )
    report = triage_report(rule, tested.truth == code, tested.probabilities[:, code], tested.known_patients)
    return Triage(label=label, rule=rule, report=report)
