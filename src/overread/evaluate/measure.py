"""The figures of one part of a cohort, each measured with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from overread.stats import metrics
from overread.stats.intervals import Measured, newcombe_auroc, patient_bootstrap, wilson
from overread.stats.jackknife import patient_jackknife
from overread.stats.means import measured_share
from overread.stats.operating import average_precision_by_class

N_RESAMPLES = 2000
FEW = 20
"""With fewer patients than this in a class 95 % intervals may hold the truth 85 or 99 times in 100."""

RANKED = ("auroc", "average_precision")
_TOGETHER = ("balanced_accuracy", *RANKED, "f1", "mcc", "kappa", "brier", "log_loss")
_LOSSES = ("brier", "log_loss")

Ends = tuple[float, float]
Mask = NDArray[np.bool_]
_NONE = (math.nan, math.nan)


class Sample:
    """The images of a part, and the units (patients, or images where those are unknown) to draw from.

    truth: (n,) int64. probabilities: (n, k) float64. patients: (n,). positive: that of a two-class AUROC.
    """

    def __init__(
        self,
        truth: NDArray[np.int64],
        probabilities: metrics.Floats,
        patients: Sequence[str | None],
        *,
        classes: Sequence[str],
        positive: int,
        part: str,
    ) -> None:
        self.truth, self.probabilities, self.positive = truth, probabilities, positive
        self.classes, self.k, self.part = classes, len(classes), part
        self.predicted = probabilities.argmax(1)
        self.table = metrics.confusion(truth, self.predicted, self.k)
        self.all = np.ones(truth.size, bool)
        self.patients_known = all(patient is not None for patient in patients)
        self.noun = "patient" if self.patients_known else "image"
        names = [(patient, i if patient is None else None) for i, patient in enumerate(patients)]
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self.unit_of = np.array([numbers[name] for name in names])

    def n_units(self, images: Mask) -> int:
        """Number of units among some images, given as (n,) bool."""
        return int(np.unique(self.unit_of[images]).size)

    def n_patients(self, images: Mask) -> int | None:
        """Number of patients among some images; None where patients are unknown."""
        return self.n_units(images) if self.patients_known else None

    def strata(self) -> NDArray[np.int64]:
        """For each unit the rarest class that it shows: (n_units,). Drawing within strata loses no class."""
        sizes = [self.n_units(self.truth == c) for c in range(self.k)]
        rarity = np.argsort(np.argsort(sizes, kind="stable"))
        rarest = np.full(self.unit_of.max() + 1, self.k)
        np.minimum.at(rarest, self.unit_of, rarity[self.truth])
        return rarest

    def measured(self, name: str, of: int | None, *, value: float, ends: Ends, among: Mask, method: str) -> Measured:
        """A figure of class `of` (None: of all together) that rests on the images `among`, (n,) bool."""
        return Measured(
            name=name,
            value=value,
            low=ends[0],
            high=ends[1],
            n_images=int(among.sum()),
            n_patients=self.n_patients(among),
            method=method,
            part=self.part,
            label=None if of is None else self.classes[of],
        )


def proportions(sample: Sample) -> list[Measured]:
    """Accuracy, and sensitivity and specificity by class: shares of images, with Wilson's interval by patient."""
    right = sample.predicted == sample.truth
    figures = [_proportion(sample, "accuracy", None, hits=right, among=sample.all)]
    for c in range(sample.k):
        of_class, called = sample.truth == c, sample.predicted == c
        figures.append(_proportion(sample, "sensitivity", c, hits=called, among=of_class))
        figures.append(_proportion(sample, "specificity", c, hits=~called, among=~of_class))
    return figures


def _proportion(sample: Sample, name: str, of: int | None, *, hits: Mask, among: Mask) -> Measured:
    units = sample.unit_of[among].tolist() if sample.patients_known else None
    found = measured_share(name, hits[among], units)
    method = found.method if found.n_images else "no image to measure it on"
    if found.n_images and not sample.patients_known:
        method = "Wilson by image; patients unknown, too narrow where one has several images"
    return sample.measured(name, of, value=found.value, ends=(found.low, found.high), among=among, method=method)


def resampled(sample: Sample, rng: np.random.Generator) -> list[Measured]:
    """All that is no plain share of images, with intervals by patient: ranks on the log odds, the rest resampled."""
    names: list[tuple[str, int | None]] = [(name, None) for name in _TOGETHER]
    names += [(name, c) for name in (*RANKED, "f1") for c in range(sample.k) if sample.k > 2 or name == "f1"]

    def statistic(weights: metrics.Floats) -> metrics.Floats:
        table = metrics.confusion(sample.truth, sample.predicted, sample.k, weights=weights)
        f1 = metrics.f1(table)
        scored = sample.truth, sample.probabilities
        ranked = [
            metrics.auroc_by_class(*scored, weights=weights),
            average_precision_by_class(*scored, weights=weights),
        ]
        whole = [metrics.macro(one) if sample.k > 2 else one[..., sample.positive] for one in ranked]
        together = [metrics.balanced_accuracy(table), *whole, metrics.macro(f1), metrics.mcc(table)]
        together += [metrics.kappa(table), metrics.brier(*scored, weights=weights)]
        together += [metrics.log_loss(*scored, weights=weights)]
        by_class = [*ranked, f1] if sample.k > 2 else [f1]
        return np.concatenate([np.stack(together, axis=-1), *by_class], axis=-1)

    left_out = patient_jackknife(statistic, sample.unit_of, sample.strata())
    on_odds = np.array([name in RANKED for name, _ in names])
    resamples = patient_bootstrap(statistic, sample.unit_of, sample.strata(), rng=rng, n_resamples=N_RESAMPLES)
    lows, highs = (np.where(on_odds, *ends) for ends in zip(left_out.logit_interval(), resamples, strict=True))
    figures = []
    for (name, of), value, low, high in zip(names, left_out.value, lows, highs, strict=True):
        ends, method = _honest(sample, name, of, value=float(value), ends=(float(low), float(high)))
        figures.append(sample.measured(name, of, value=float(value), ends=ends, among=sample.all, method=method))
    return figures


def _honest(sample: Sample, name: str, of: int | None, *, value: float, ends: Ends) -> tuple[Ends, str]:
    """The interval that the resamples can support, and how it was made."""
    groups = [sample.n_units(sample.truth == c) for c in range(sample.k)]
    if of is not None:
        groups = [groups[of], sample.n_units(sample.truth != of)]
    present = [size for size in groups if size]
    if math.isnan(value) or len(present) < 2:
        return _NONE, "no interval: a class has no image"
    fewest, noun = min(present), sample.noun
    missing = f"; mean of {len(present)} of {len(groups)} classes, the others have no image"
    caveat = missing if len(present) < len(groups) else ""
    if fewest == 1:
        return _NONE, f"no interval: a class has only one {noun}{caveat}"
    agree = ends[0] == ends[1] or (name in RANKED and math.isnan(ends[0]))
    if agree and (name in _LOSSES or not 0 <= value <= 1):
        return _NONE, f"no interval: all resamples agree{caveat}"
    if agree:  # all right or all wrong: drawing again can show nothing else
        if name == "auroc":
            ends = newcombe_auroc(value, fewest, sum(groups) - fewest)
            return ends, f"Newcombe by {noun}, as all resamples agree{caveat}"
        return wilson(value * fewest, fewest), f"Wilson by {noun} of the rarest class, as all resamples agree{caveat}"
    n_units = sample.n_units(sample.all)
    method = f"bootstrap (BCa, {N_RESAMPLES} resamples) of {n_units} {noun}s{caveat}"
    if name in RANKED:
        method = f"log odds, Student's t, leaving out each of {n_units} {noun}s{caveat}"
    if not sample.patients_known:
        method += "; patients unknown, too narrow where one has several images"
    return ends, method + (f"; rough, as a class has only {fewest} {noun}s" if fewest < FEW else "")
