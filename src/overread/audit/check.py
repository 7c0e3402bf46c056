"""What a check is, and what it can find."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from overread.audit.subject import Subject

SEVERITIES = ("fatal", "serious", "note")
"""fatal: no figure of a model that is trained on these data can be believed; serious: its figures may be wrong or
too good; note: worth knowing"""
KEPT = 200
"""images that a finding names at most; `n` counts all of them"""


def in_percent(share: float) -> str:
    """A share as people say it: what is there is never 0 %.

    >>> in_percent(0.25), in_percent(0.004), in_percent(0)
    ('25%', 'below 1%', '0%')
    """
    return "below 1%" if 0 < share < 0.005 else f"{share:.0%}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with the data, in words for a radiologist and in numbers for a program."""

    code: str
    title: str
    severity: str
    what: str
    """what was found, with its numbers: one or two sentences"""
    do: str
    """what to do about it: one sentence"""
    n: int
    unit: str
    """how many of what: images, pairs, patients, classes, ..."""
    where: tuple[str, ...] = ()
    """the first images, pairs or hashes of patients that it concerns"""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """plain values for JSON, by name"""
    reference: str = ""

    @property
    def on_figures(self) -> bool:
        """Whether it weighs on a model's figures; what is said of privacy concerns the files alone."""
        return not self.code.startswith("P")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "where": list(self.where), "evidence": dict(self.evidence)}


class Check(ABC):
    """One question to the data. A subclass is one small class: its four facts, and `look`."""

    code: ClassVar[str]
    """a letter for the family and a number: L01"""
    title: ClassVar[str]
    severity: ClassVar[str]
    reference: ClassVar[str]
    """where the reader can learn why it matters: a paper or a clause of a standard"""
    of_split: ClassVar[bool] = False
    """whether the answer depends on how the images are divided, so that another division is asked about anew"""

    @abstractmethod
    def look(self, subject: Subject) -> Finding | None:
        """What was found; None where nothing is wrong, or where the data do not let the question be asked."""

    def finding(
        self,
        *,
        what: str,
        do: str,
        n: int,
        unit: str,
        where: Sequence[str] = (),
        evidence: Mapping[str, Any] | None = None,
        severity: str | None = None,
    ) -> Finding:
        """A finding of this check; `severity` where this one is not of the usual severity."""
        return Finding(
            code=self.code,
            title=self.title,
            severity=severity or self.severity,
            what=what,
            do=do,
            n=n,
            unit=unit,
            where=tuple(where[:KEPT]),
            evidence=evidence or {},
            reference=self.reference,
        )
