"""Fit what a model may promise, on images that it has not learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.model.caution import Caution
from overread.stats.conformal import Refused, SetRule, calibrate_sets, conformal_quantile, patients_needed
from overread.stats.metrics import softmax
from overread.stats.rescaling import fit_temperature

ALPHA = 0.1
FAR_ALPHA = 0.05
LEAST_UNITS = 20
"""patients (or images, where those are unknown) below which a temperature says more of chance than of the network"""
OF_PART = {"calibrate": "the calibration part", "val": "the validation part, which also chose the best epoch"}

Labels = NDArray[np.int64]


def fit_caution(
    truth: ArrayLike,
    logits: ArrayLike,
    patients: Sequence[str | None],
    *,
    classes: Sequence[str],
    part: str,
    distance: ArrayLike | None = None,
) -> Caution:
    """Temperature, sets of classes and the limit of distance, each with its promise or why there is none.

    truth: (n,) int. logits: (n, k) float. patients: (n,), None where unknown: then each image stands for itself, and
    the words say so. distance: (n,) float, from the training images. part: "calibrate" or "val".
    """
    t, z = np.asarray(truth, np.int64), np.asarray(logits, np.float64)
    known = _known(patients)
    units = f"{t.size} images" if known is None else f"{len(set(known))} patients"
    on = f"fitted on {OF_PART[part]} ({units})"
    temperature, temperature_why = _temperature(t, z, known, on)
    sets, by_class, sets_why = _sets(t, softmax(z / temperature), known, classes)
    farthest, far_why = _farthest(distance, known)
    return Caution(
        temperature=temperature,
        temperature_why=temperature_why,
        part=part,
        n_images=t.size,
        n_patients=None if known is None else len(set(known)),
        alpha=ALPHA,
        thresholds=sets,
        by_class=by_class,
        sets_why=sets_why,
        far_alpha=FAR_ALPHA,
        farthest=farthest,
        far_why=far_why,
    )


def _known(patients: Sequence[str | None]) -> list[str] | None:
    known = [patient for patient in patients if patient is not None]
    return known if len(known) == len(patients) else None


def _temperature(truth: Labels, logits: Any, patients: list[str] | None, on: str) -> tuple[float, str]:
    n_units = truth.size if patients is None else len(set(patients))
    if n_units < LEAST_UNITS:
        return 1.0, f"left at 1: {LEAST_UNITS} patients are needed to fit one, found {n_units}"
    found = fit_temperature(truth, logits, patients)
    if found.at_edge:
        return 1.0, f"left at 1: nothing to fit, as the network makes no mistake or says nothing ({on})"
    change = f"log loss there {found.loss_before:.3f} before, {found.loss_after:.3f} after"
    return found.value, f"{on}; {change}"


def _sets(
    truth: Labels, probabilities: Any, patients: list[str] | None, classes: Sequence[str]
) -> tuple[tuple[float, ...], bool, str]:
    """Thresholds class by class where each has patients enough, else for all together, else none."""
    noun = "image" if patients is None else "patient"
    unknown = "; patients are unknown, so that images of one count as several" if patients is None else ""
    rule = calibrate_sets(truth, probabilities, alpha=ALPHA, by_class=True, patients=patients)
    if isinstance(rule, SetRule):
        why = f"hold the true class of {1 - ALPHA:.0%} of the images of each class (one of each new {noun}){unknown}"
        return rule.thresholds, True, why
    short = _short(truth, patients, classes)
    rule = calibrate_sets(truth, probabilities, alpha=ALPHA, patients=patients)
    if isinstance(rule, Refused):
        return (), False, f"no sets: {rule.reason}"
    why = f"hold the true class of {1 - ALPHA:.0%} of all images (one of each new {noun}){unknown}"
    return rule.thresholds, False, f"{why}; but not of the images of each class: {short}"


def _short(truth: Labels, patients: list[str] | None, classes: Sequence[str]) -> str:
    """Which classes have too few patients for a promise of their own."""
    units = np.arange(truth.size) if patients is None else np.unique(patients, return_inverse=True)[1]
    counts = [np.unique(units[truth == c]).size for c in range(len(classes))]
    noun = "images" if patients is None else "patients"
    few = [f"{name} {count}" for name, count in zip(classes, counts, strict=True) if count < patients_needed(ALPHA)]
    return f"that takes {patients_needed(ALPHA)} {noun} a class, found {', '.join(few)}"


def _farthest(distance: ArrayLike | None, patients: list[str] | None) -> tuple[float | None, str]:
    if distance is None:
        return None, "no limit: the distance from the training images was not measured"
    found = conformal_quantile(np.asarray(distance, np.float64), FAR_ALPHA, patients)
    if isinstance(found, Refused):
        return None, f"no limit: {found.reason}"
    noun = "image" if patients is None else "patient"
    return found, f"at most {FAR_ALPHA:.0%} of the images like these lie farther out (one of each new {noun})"
