"""What a control changes on purpose: labels shuffled among the patients, and training patients left out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.data.groups import Groups, cohort_groups
from overread.data.rows import Cohort
from overread.data.split import Split
from overread.settings import between, setting

SHUFFLED = "labels shuffled on purpose: this is a control, and no answer of it means anything"
_SHUFFLE, _THIN = 1, 2
"""Streams of the run's seed, so that neither depends on whether the other is asked for."""


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """How a control differs from a training in earnest. No flags are made of these: `overread controls` sets them."""

    shuffle_labels: bool = setting(False, "give each patient the label of a patient drawn by lot")
    train_share: float = setting(1.0, "share of the training patients that is trained on")

    def __post_init__(self) -> None:
        between("train-share", self.train_share, 0.01, 1)


def shuffled_name(label: str) -> str:
    """The class in every output of a control with shuffled labels: nobody can take it for the true one.

    >>> shuffled_name("tumor")
    'tumor (shuffled)'
    """
    return f"{label} (shuffled)"


def shuffle_labels(cohort: Cohort, settings: ControlSettings, *, seed: int, alike: Groups | None = None) -> Cohort:
    """Deal the patients' labels out again among the patients, if the settings ask for it.

    Every image of a patient gets the same label, and each class keeps its number of patients. Each order is as
    likely as any other, so nothing but chance ties the new labels to the images. A patient with images of several
    classes counts as the one that most of them show. `alike`: as for `cohort_groups`, for rows without a patient.
    """
    if not settings.shuffle_labels:
        return cohort
    groups = cohort_groups(cohort, alike)
    dealt = np.random.default_rng((seed, _SHUFFLE)).permutation(_label_of_each(groups, cohort))
    names = tuple(shuffled_name(name) for name in cohort.classes)
    rows = tuple(
        dataclasses.replace(row, label=names[dealt[group]]) for row, group in zip(cohort.rows, groups, strict=True)
    )
    return dataclasses.replace(cohort, rows=rows, classes=names)


def thin_training(split: Split, cohort: Cohort, settings: ControlSettings, *, alike: Groups | None = None) -> Split:
    """Leave out training patients, class by class, until the share is kept that the settings ask for.

    At least one patient a class is kept. Of one split a smaller share is part of every larger one, and the other
    parts stay as they are.
    """
    if settings.train_share == 1:
        return split
    groups = cohort_groups(cohort, alike)
    labels, training = _label_of_each(groups, cohort), np.unique(groups[split.indices("train")])
    rng = np.random.default_rng((split.seed, _THIN))
    kept: list[int] = []
    for label in range(len(cohort.classes)):
        order = rng.permutation(training[labels[training] == label])
        kept += order[: max(1, round(settings.train_share * order.size))].tolist()
    left = np.isin(groups, kept)
    parts = tuple(
        "" if part == "train" and not stays else part for part, stays in zip(split.parts, left, strict=True)
    )
    mark = f"trained on {settings.train_share:.0%} of the training patients on purpose, for a learning curve"
    return dataclasses.replace(split, parts=parts, marks=(*split.marks, mark))


def control_marks(settings: ControlSettings) -> tuple[str, ...]:
    """The sentence that every output of a control with shuffled labels must carry."""
    return (SHUFFLED,) if settings.shuffle_labels else ()


def _label_of_each(groups: Groups, cohort: Cohort) -> NDArray[np.int64]:
    """The class that most images of each group show: (n_groups,) int64, the first of several that are level."""
    counts = np.zeros((int(groups.max()) + 1, len(cohort.classes)), np.int64)
    np.add.at(counts, (groups, cohort.labels()), 1)
    return np.asarray(counts.argmax(axis=1), np.int64)
