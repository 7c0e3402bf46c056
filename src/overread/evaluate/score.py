"""What a network's probabilities are worth on one part of a cohort: every figure with its interval."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.errors import CohortError, ModelError
from overread.evaluate.measure import RANKED, Sample, proportions, resampled
from overread.stats.intervals import Measured
from overread.stats.metrics import Floats

FILE = "metrics.json"
TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "mcc": "Matthews correlation",
    "kappa": "Cohen's kappa",
    "brier": "Brier score",
    "log_loss": "log loss (nats)",
}
BRIEF = ("accuracy", "balanced_accuracy", "auroc", "f1", "sensitivity", "specificity")
"""what a table in the terminal shows"""
_HEALTHY = re.compile(r"normal|healthy|controls?|negative|benign|none|non.*|(no|not|without)[ _-].+")
TABLE_HEADINGS = ("figure", "class", "value", "95 % interval", "images", "patients")


@dataclass(frozen=True, kw_only=True)
class Score:
    """The figures of one part, in the order to print them."""

    measured: tuple[Measured, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Number of images by true class (row) and predicted class (column), in the order of `classes`."""
    classes: tuple[str, ...]
    n_images: int
    n_patients: int | None
    part: str
    positive: str | None
    """The class that the one AUROC of a two-class task is of; None for more classes."""

    def figure(self, name: str, label: str | None = None) -> Measured:
        """One figure by name, of one class or (None) of all together; KeyError where there is none."""
        for measured in self.measured:
            if (measured.name, measured.label) == (name, label):
                return measured
        raise KeyError((name, label))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part,
            "classes": list(self.classes),
            "positive": self.positive,
            "n_images": self.n_images,
            "n_patients": self.n_patients,
            "confusion": [list(row) for row in self.confusion],
            "measured": [measured.to_json() for measured in self.measured],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Score:
        """Undo `to_json`."""
        return cls(
            part=values["part"],
            classes=tuple(values["classes"]),
            positive=values["positive"],
            n_images=values["n_images"],
            n_patients=values["n_patients"],
            confusion=tuple(tuple(row) for row in values["confusion"]),
            measured=tuple(Measured.from_json(one) for one in values["measured"]),
        )


def score(
    truth: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str | None],
    classes: Sequence[str],
    *,
    rng: np.random.Generator,
    part: str = "test",
    positive: str | None = None,
) -> Score:
    """Measure every figure, each with a 95 % interval and the images and patients that it rests on.

    truth: (n,) int, index into classes. probabilities: (n, k) float, rows sum to 1; the predicted class is
    the most probable. patients: (n,), None where unknown. positive: the class that a two-class AUROC is of,
    `usual_positive` by default. Shares get Wilson's interval with the patients' design effect, AUROC and average
    precision Student's on the log odds by patient, all else a bootstrap by patient.

    Raises CohortError for a part without images, ModelError for probabilities that are none.
    """
    t, p = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    _check(t, p, len(classes), part)
    of_positive = list(classes).index(positive or usual_positive(classes))
    sample = Sample(t, p, patients, classes=classes, positive=of_positive, part=part)
    return Score(
        measured=tuple(sorted([*proportions(sample), *resampled(sample, rng)], key=_place(classes))),
        confusion=tuple(tuple(int(cell) for cell in row) for row in sample.table),
        classes=tuple(classes),
        n_images=t.size,
        n_patients=sample.n_patients(sample.all),
        part=part,
        positive=classes[of_positive] if len(classes) == 2 else None,
    )


def usual_positive(classes: Sequence[str]) -> str:
    """The class that counts as disease: the last by name that no healthy person would be in.

    >>> usual_positive(["covid", "non-covid"]), usual_positive(["normal", "nodule"]), usual_positive(["a", "b"])
    ('covid', 'nodule', 'b')
    """
    ill = [name for name in classes if not _HEALTHY.fullmatch(name.strip().lower())]
    return (ill or list(classes))[-1]


def read_score(folder: Path) -> Score:
    """Read the `metrics.json` of a run or an evaluation. Raises ModelError where it is missing or damaged."""
    if not (folder / FILE).exists():
        raise ModelError(f"{folder} holds no {FILE}. Give the folder of a finished run or evaluation.")
    try:
        return Score.from_json(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ModelError(f"{folder / FILE} cannot be read: {fault}. Train again.") from fault


def _place(classes: Sequence[str]) -> Callable[[Measured], tuple[int, int]]:
    """Where a figure stands in print: by kind, all classes together first, then class by class."""
    names, labels = list(TITLES), [None, *classes]
    return lambda measured: (names.index(measured.name), labels.index(measured.label))


def as_table(score: Score, names: Collection[str] = tuple(TITLES)) -> list[tuple[str, ...]]:
    """Rows of words under `TABLE_HEADINGS`; the figures of all classes together have `all` as their class.

    names: the kinds of figures to show.
    """
    return [
        (
            TITLES[m.name],
            m.label or ("all" if score.positive is None or m.name not in RANKED else score.positive),
            "-" if math.isnan(m.value) else f"{m.value:.3f}",
            "-" if math.isnan(m.low) else f"{m.low:.3f} to {m.high:.3f}",
            str(m.n_images),
            "unknown" if m.n_patients is None else str(m.n_patients),
        )
        for m in score.measured
        if m.name in names
    ]


def notes(score: Score) -> list[str]:
    """What a reader of the intervals must know, a sentence for each weakness that these ones have."""
    methods = " ".join(measured.method for measured in score.measured)
    found = []
    if "rough" in methods:
        found.append("Intervals of balanced accuracy, AUROC and F1 are rough: a class has few patients.")
    if "no interval" in methods:
        found.append("-: no interval can be given, as a class has one patient or no image.")
    if score.n_patients is None:
        found = [sentence.replace("patient", "image") for sentence in found]
    return found


def _check(truth: NDArray[np.int64], probabilities: Floats, k: int, part: str) -> None:
    if truth.size == 0:
        raise CohortError(
            f"The {part} part has no image, so nothing can be measured. "
            "Give it some: --val-fraction, --test-fraction."
        )
    if probabilities.shape != (truth.size, k):
        raise ValueError(f"probabilities are {probabilities.shape}, expected {(truth.size, k)}")
    bad = ~np.isfinite(probabilities).all(1) | (np.abs(probabilities.sum(1) - 1) > 1e-3)
    if bad.any():
        raise ModelError(
            f"The network gives no probabilities for {bad.sum()} of {truth.size} {part} images: its output "
            "is not a number, or does not sum to 1. Train it again with a lower --learning-rate."
        )
