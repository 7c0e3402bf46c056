"""All probes of an audit at once: the same folds, and p-values corrected for their number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from overread.audit.subject import Subject
from overread.data.divide import Places, divide_groups, groups_by_class
from overread.stats.probe import Floats, Probe, holm, probe

Table = Callable[[Subject], Floats | None]

MOST_IMAGES = 2000
"""a probe of more tells nothing that these do not"""
_FOLDS = 5
_FEWEST = 3
"""patients of each class for folds of whole patients"""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One probe's result among the others."""

    probe: Probe
    p_corrected: float
    """Holm's, for all probes of the audit"""
    by: str
    """what the folds keep whole: "patient", or "image" where patients are unknown or too few"""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self.probe), "p_corrected": self.p_corrected, "by": self.by}


def probed(subject: Subject, tables: Mapping[str, Table]) -> dict[str, Probed]:
    """The result of each probe that has something to see, by its code; made once for a subject."""
    return subject.once("probes", lambda: _probe_all(subject, tables))


def _probe_all(subject: Subject, tables: Mapping[str, Table]) -> dict[str, Probed]:
    rng = subject.rng()
    rows = _some(subject, rng)
    labels = np.unique(subject.labels[rows], return_inverse=True)[1]
    units, folds, by = grouping(subject, rows, labels, rng)
    if len(np.unique(folds)) < 2:
        return {}
    found = {}
    for code, table in tables.items():
        x = table(subject)
        if x is not None and x.shape[1]:
            found[code] = probe(x[rows], labels, units=units, folds=folds, rng=subject.rng())
    corrected = holm([one.p for one in found.values()])
    return {
        code: Probed(probe=one, p_corrected=p, by=by) for (code, one), p in zip(found.items(), corrected, strict=True)
    }


def _some(subject: Subject, rng: np.random.Generator) -> Places:
    """All rows, or those of so many patients at random that there are MOST_IMAGES of them."""
    if len(subject) <= MOST_IMAGES:
        return np.arange(len(subject))
    patients = np.unique(_units(subject), return_inverse=True)[1]
    turn = rng.permutation(int(patients.max()) + 1)[patients]
    return np.sort(np.lexsort((np.arange(len(subject)), turn))[:MOST_IMAGES])


def _units(subject: Subject) -> Places:
    """The patient of each image; an image whose patient is not known is a unit of its own."""
    keys = [patient or f"\0{at}" for at, patient in enumerate(subject.cohort.patients())]
    return np.unique(np.array(keys, dtype=object), return_inverse=True)[1].astype(np.int64)


def grouping(subject: Subject, rows: Places, labels: Places, rng: np.random.Generator) -> tuple[Places, Places, str]:
    """The unit and the fold of each row, and what a unit is: patients, or images where classes have too few."""
    n_classes = int(labels.max()) + 1
    patients = np.unique(_units(subject)[rows], return_inverse=True)[1].astype(np.int64)
    images = np.arange(len(rows))
    for units, by in ((patients, "patient" if subject.knows_patients else "image"), (images, "image")):
        n_folds = min(_FOLDS, int(groups_by_class(units, labels, n_classes).min()))
        if n_folds >= _FEWEST or units is images:
            folds = divide_groups(units, labels, [1 / max(2, n_folds)] * max(2, n_folds), rng)
            return units, folds, by
    raise AssertionError("the second way always returns")
