"""Whether the model is as good for one group of patients as for another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from overread.evaluate.facts import TITLES
from overread.evaluate.predictions import Predictions
from overread.stats.intervals import Measured, delong_areas, newcombe_auroc
from overread.stats.means import measured_share

FEW = 20
"""patients below which a group's figures say little"""
TOO_FEW = 5
"""patients below which they say nothing, and could name a person"""
_MOST_GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class Group:
    """The patients of one kind."""

    fact: str
    value: str
    n_images: int
    n_patients: int | None
    accuracy: Measured | None
    """None where the group is too small for any figure"""
    auroc: Measured | None
    """of the positive of two classes, or the mean over more; None where a class has no image in the group"""
    warning: str = ""


def subgroups(found: Predictions, *, labels: Sequence[str], part: str) -> tuple[Group, ...]:
    """Figures by sex, age, site, scanner, kernel and slice thickness, as far as they are known and differ.

    labels: the classes whose AUROC is wanted (one of two, or all of more). Groups beyond the eight largest of a
    fact are left out. Nothing is corrected for their number: one of twenty is outside its interval by chance.
    """
    rows = []
    for fact, values in found.facts.items():
        known = sorted({value for value in values if value}, key=lambda value: (-values.count(value), value))
        if len(known) < 2:
            continue
        for value in known[:_MOST_GROUPS]:
            members = found.subset([place for place, one in enumerate(values) if one == value])
            rows.append(_group(members, fact=fact, value=value, labels=labels, part=part))
    return tuple(rows)


def _group(members: Predictions, *, fact: str, value: str, labels: Sequence[str], part: str) -> Group:
    patients = members.known_patients
    n_units = len(members) if patients is None else len(set(patients))
    noun = "images" if patients is None else "patients"
    if n_units < TOO_FEW:
        return Group(
            fact=TITLES[fact],
            value=value,
            n_images=len(members),
            n_patients=None if patients is None else n_units,
            accuracy=None,
            auroc=None,
            warning=f"fewer than {TOO_FEW} {noun}: no figure is given",
        )
    right = members.probabilities.argmax(axis=1) == members.truth
    accuracy = measured_share("accuracy", right, patients)
    return Group(
        fact=TITLES[fact],
        value=value,
        n_images=len(members),
        n_patients=accuracy.n_patients,
        accuracy=accuracy,
        auroc=_auroc(members, labels, part),
        warning=f"only {n_units} {noun}: too few to say much" if n_units < FEW else "",
    )


def _auroc(members: Predictions, labels: Sequence[str], part: str) -> Measured | None:
    """AUROC with DeLong's interval by patient on the log odds scale; of several classes, the mean without one."""
    patients = members.known_patients
    values, errors = [], []
    for label in labels:
        code = members.classes.index(label)
        areas = delong_areas(members.truth == code, members.probabilities[:, code][None], patients)
        variance = float(areas.covariance[0, 0])
        values.append(float(areas.value[0]))
        errors.append(math.sqrt(variance) if variance >= 0 else math.nan)
    if any(map(math.isnan, values)):
        return None
    value, low, high, method = float(np.mean(values)), math.nan, math.nan, "mean over the classes, without interval"
    if len(labels) == 1:
        low, high, method = _ends(value, errors[0], areas.n_patients)
    return Measured(
        name="auroc",
        value=value,
        low=low,
        high=high,
        n_images=len(members),
        n_patients=None if patients is None else len(set(patients)),
        method=method,
        part=part,
        label=labels[0] if len(labels) == 1 else None,
    )


def _ends(value: float, error: float, n_patients: tuple[int, int]) -> tuple[float, float, str]:
    if math.isnan(error):
        return math.nan, math.nan, "no interval: one patient on a side"
    if not 0 < value < 1 or error == 0:
        return *newcombe_auroc(value, *n_patients), "Newcombe's interval, as the two sides do not overlap"
    far = float(stdtrit(min(n_patients) - 1, 0.975))  # as many as there are of the rarer side
    odds, half = math.log(value / (1 - value)), far * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(odds + side * half))) for side in (-1, 1))
    return low, high, "DeLong's interval by patient, on the log odds"
