"""How often sets of classes hold the true one, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from overread.stats.intervals import Measured
from overread.stats.means import measured_mean, measured_share
from overread.stats.patients import of_some


@dataclass(frozen=True, kw_only=True)
class SetReport:
    """What sets did on a part that they were not made on; every patient counts the same, as in the promise."""

    coverage: Measured
    coverage_by_class: tuple[Measured, ...]
    size: Measured
    """Mean number of classes in a set."""
    single: Measured
    """Share of the sets with one class: an answer."""
    empty: Measured
    """Share of the sets with none: no class is likely enough."""


def set_report(truth: ArrayLike, sets: ArrayLike, patients: Sequence[Any] | None = None) -> SetReport:
    """Coverage and size of sets, with 95 % intervals by patient.

    truth: (n,) int. sets: (n, k) bool. patients: (n,). A single calibration part covers a little more or less than
    promised for good: with 100 patients, 90 % means about 84 to 95 %.
    """
    t, s = np.asarray(truth, np.int64), np.asarray(sets, bool)
    held, sizes = s[np.arange(t.size), t], s.sum(axis=1)
    return SetReport(
        coverage=_share("coverage", held, patients),
        coverage_by_class=tuple(
            _share("coverage", held[t == c], of_some(patients, t == c)) for c in range(s.shape[1])
        ),
        size=measured_mean("set size", sizes, patients, each_patient_once=True),
        single=_share("sets of one class", sizes == 1, patients),
        empty=_share("empty sets", sizes == 0, patients),
    )


def _share(name: str, hits: Any, patients: Sequence[Any] | None) -> Measured:
    return measured_share(name, hits, patients, each_patient_once=True)
