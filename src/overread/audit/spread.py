"""How a fault is spread over the classes: one that goes with a class can be learnt instead of the disease."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from overread.audit.subject import Subject

_GAP, _WIDE_GAP = 0.25, 0.75
_SIGNIFICANT = 0.01


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Which share of each class has a fault. `found` and `total` count images by class, in the classes' order."""

    found: Mapping[str, int]
    total: Mapping[str, int]
    p: float
    """that patients (series or images, where these are not known) of the class with the largest share have the fault
    so often by chance: Fisher's exact test against all others, one-sided, times the number of classes"""

    @property
    def gap(self) -> float:
        """Largest minus smallest share of any class."""
        shares = [self.found[name] / total for name, total in self.total.items() if total]
        return max(shares) - min(shares) if len(shares) > 1 else 0.0

    @property
    def goes_with_class(self) -> bool:
        """True if shares differ by a quarter and hardly by chance, or by three quarters in however few patients."""
        return (self.gap >= _GAP and self.p < _SIGNIFICANT) or self.gap >= _WIDE_GAP

    @property
    def severity(self) -> str:
        """A fault that goes with the class is serious, and else a note."""
        return "serious" if self.goes_with_class else "note"

    def __str__(self) -> str:
        return ", ".join(f"{name} {n} of {self.total[name]}" for name, n in self.found.items() if n)

    @property
    def warning(self) -> str:
        """A sentence with a space before it where the fault goes with the class; else nothing."""
        return " It goes with the class, so a network can learn it instead of the disease." * self.goes_with_class

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        shares = {name: self.found[name] / total for name, total in self.total.items() if total}
        return {"share_by_class": shares, "p": self.p}


def spread(subject: Subject, places: Sequence[int]) -> Spread:
    """How the images at these places are spread over the classes; tested by patient, else series, else image."""
    units = [
        patient or row.series or f"{row.path} {row.frame}"
        for patient, row in zip(subject.hashed_patients, subject.cohort.rows, strict=True)
    ]
    labels = [row.label for row in subject.cohort.rows]
    return spread_of(labels, set(places), units=units, classes=subject.cohort.classes)


def spread_of(labels: Sequence[str], places: set[int], *, units: Sequence[str], classes: Sequence[str]) -> Spread:
    """As `spread`, from labels and units of all images: a unit has the fault if any of its images has."""
    found = Counter(labels[at] for at in places)
    total = Counter(labels)
    all_units = {(label, unit) for label, unit in zip(labels, units, strict=True)}
    with_fault = {(labels[at], units[at]) for at in places}
    most = max(classes, key=lambda name: found[name] / max(1, total[name]))
    p = _tail(
        drawn=sum(label == most for label, _ in all_units),
        hits=sum(label == most for label, _ in with_fault),
        marked=len(with_fault),
        n=len(all_units),
    )
    return Spread(
        found={name: found[name] for name in classes},
        total={name: total[name] for name in classes},
        p=min(1.0, p * len(classes)),
    )


def _tail(*, drawn: int, hits: int, marked: int, n: int) -> float:
    """Chance of `hits` or more of the `marked` among `drawn` of `n`: the tail of the hypergeometric distribution.

    >>> round(_tail(drawn=3, hits=3, marked=3, n=6), 3)
    0.05
    """
    ways = sum(comb(marked, k) * comb(n - marked, drawn - k) for k in range(hits, min(marked, drawn) + 1))
    return ways / comb(n, drawn)
