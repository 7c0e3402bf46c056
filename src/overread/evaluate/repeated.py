"""One figure from the same training done again on other splits of one cohort, and how much another way adds to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from overread.evaluate.average import mean_measured
from overread.evaluate.measure import FEW
from overread.evaluate.predictions import Predictions
from overread.evaluate.score import Score
from overread.stats import metrics
from overread.stats.intervals import Measured
from overread.stats.jackknife import Jackknife, patient_jackknife
from overread.stats.metrics import Floats
from overread.stats.unpaired import Difference, difference

FIGURES = ("auroc", "accuracy", "balanced_accuracy")
"""those that can be told over repeats; of more than two classes the AUROC is the mean of each against the others"""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The test part of one run: every prediction, and what they come to."""

    predictions: Predictions
    score: Score


def over_repeats(name: str, runs: Sequence[Scored]) -> Measured:
    """The mean of a figure over runs on several splits of one cohort; of a single run, its own figure.

    name: one of `FIGURES`. Each patient is left out of all test parts at once, so that one who was tested twice
    counts once in the interval: Student's t on the log odds. Assumes independent patients; the luck of training
    counts only as far as the runs show it. Simulated 95 % intervals held the truth in 92 to 99 of 100 cases. Where
    nothing varies (all right in every split) the ends are the means of those of each run. ValueError for no run.
    """
    same = mean_measured([run.score.figure(name) for run in runs], of="splits")
    if len(runs) == 1 or math.isnan(same.value):
        return same
    units = _Units(runs)
    same = dataclasses.replace(same, n_images=units.n_images, n_patients=units.n_patients)
    if units.is_lone(name):
        why = f"no interval: in the test part of a split a class has only one {units.noun}"
        return dataclasses.replace(same, low=math.nan, high=math.nan, method=why)
    found = _leave_out(name, runs, np.full(len(runs), 1 / len(runs)), units)
    low, high = (float(end[0]) for end in found.logit_interval())
    if math.isnan(low):
        return same
    method = (
        f"mean of {len(runs)} splits; log odds, Student's t, leaving out each of {units.n} {units.noun}s from all of "
        f"them at once{units.caveat}"
    )
    return dataclasses.replace(same, low=low, high=high, method=method)


def change(name: str, before: Sequence[Scored], after: Sequence[Scored]) -> Difference:
    """How much a figure gains from one way of training to another, tested on the same images, split by split.

    After less before, with Student's 95 % interval: each patient is left out of both sides at once, so that what is
    hard in both does not widen it. Where nothing varies, as of two figures taken apart. ValueError where the images
    are not the same.
    """
    for one, other in zip(before, after, strict=True):
        mine, theirs = one.predictions, other.predictions
        if (mine.paths, mine.frames) != (theirs.paths, theirs.frames):
            raise ValueError("the two sides were not tested on the same images in the same order")
    both, n = [*before, *after], len(before)
    units = _Units(both)
    found = _leave_out(name, both, np.repeat([-1 / n, 1 / n], n), units)
    value, variance = float(found.value[0]), float(found.variance[0])
    if not variance > 0 or units.is_lone(name):
        return difference(over_repeats(name, after), over_repeats(name, before))
    half = float(stdtrit(found.degrees[0], 0.975)) * math.sqrt(variance)
    return Difference(value=value, low=max(-1.0, value - half), high=min(1.0, value + half))


class _Units:
    """Who is left out: the patients of all test parts together, or the images where a patient is unknown."""

    def __init__(self, runs: Sequence[Scored]) -> None:
        parts = [run.predictions for run in runs]
        names = [
            patient or (path, frame)
            for part in parts
            for patient, path, frame in zip(part.patients, part.paths, part.frames, strict=True)
        ]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        self.n = len(numbers)
        self.of = np.array([numbers[name] for name in names], np.int64)
        """(n,) the unit of each image of each part, one part after the other"""
        self.ends = np.cumsum([0, *map(len, parts)])
        known = all(part.known_patients is not None for part in parts)
        self.noun = "patient" if known else "image"
        self.n_patients = self.n if known else None
        self.n_images = len({image for part in parts for image in zip(part.paths, part.frames, strict=True)})
        truth = np.concatenate([part.truth for part in parts])
        self.strata: NDArray[np.int64] = truth[np.unique(self.of, return_index=True)[1]]
        """(n_units,) the class of each unit where it is first met: with shuffled labels it has one in each split"""
        per_class = [
            np.unique(self.of[start:end][part.truth == code]).size
            for part, start, end in zip(parts, self.ends[:-1], self.ends[1:], strict=True)
            for code in range(len(part.classes))
        ]
        self.fewest = min(per_class)
        """units of the rarest class of any part"""
        rarest = min(np.unique(self.of[truth == code]).size for code in range(len(parts[0].classes)))
        self.caveat = f"; rough, as a class has only {rarest} {self.noun}s" if rarest < FEW else ""

    def is_lone(self, name: str) -> bool:
        """Whether a class has one unit in some part, so that its figure says nothing of how units differ."""
        return name != "accuracy" and self.fewest < 2


def _leave_out(name: str, runs: Sequence[Scored], shares: Floats, units: _Units) -> Jackknife:
    """The sum of the runs' figures, each times its share, without each unit in turn."""

    def statistic(weights: Floats) -> Floats:
        each = [
            share * _figure(name, run, weights[:, start:end])
            for share, run, start, end in zip(shares, runs, units.ends[:-1], units.ends[1:], strict=True)
        ]
        return np.asarray(np.sum(each, axis=0)[:, None], np.float64)

    return patient_jackknife(statistic, units.of, units.strata)


def _figure(name: str, run: Scored, weights: Floats) -> Floats:
    """One figure of one run under weights (b, n): (b,)."""
    found = run.predictions
    if name == "auroc":
        areas = metrics.auroc_by_class(found.truth, found.probabilities, weights=weights)
        of = run.score.positive
        return np.asarray(metrics.macro(areas) if of is None else areas[..., found.classes.index(of)], np.float64)
    table = metrics.confusion(found.truth, found.probabilities.argmax(1), len(found.classes), weights=weights)
    of_table = metrics.accuracy if name == "accuracy" else metrics.balanced_accuracy
    return np.asarray(of_table(table), np.float64)
