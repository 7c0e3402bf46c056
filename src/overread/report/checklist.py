"""Reporting checklists, filled in where a run knows the answer, and left to the person where it does not.

The items are data, in `checklists/*.json`: number, topic, what is asked in overread's own words, the name of an
answer (`answers.ANSWERS`) and what a person must add to it. CLAIM 2024: Tejani et al. 2024, doi:10.1148/ryai.240300.
TRIPOD+AI: Collins et al. 2024, doi:10.1136/bmj-2023-078378.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from overread.errors import SettingsError
from overread.report.answers import ANSWERS, Answer
from overread.report.known import Known, read_known

Status = Literal["answered", "partly", "yours"]
STATUSES: tuple[Status, ...] = ("answered", "partly", "yours")
FILES = {"claim": "claim-2024.json", "tripod": "tripod-ai-2024.json"}
"""the checklists by the word after --which"""
BOTH = "both"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a checklist."""

    number: str
    section: str
    topic: str
    asks: str
    """what the item wants to know, in overread's own words"""
    answer: str | None
    """the name of the answer that a run can give; None where it can give none"""
    add: str
    """what a person must add to it; empty where nothing"""
    stage: str = ""
    """TRIPOD+AI: whether it is asked of development, evaluation or both"""


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """A checklist as published, by number and topic."""

    name: str
    title: str
    citation: str
    doi: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class Filled:
    """One item with its answer."""

    item: Item
    known: tuple[str, ...]
    add: tuple[str, ...]

    @property
    def status(self) -> Status:
        """Whether the run answers the item, answers a part of it, or leaves it to the person."""
        if not self.known:
            return "yours"
        return "partly" if self.add else "answered"


@dataclass(frozen=True, kw_only=True)
class FilledChecklist:
    """A checklist with an answer to every item."""

    checklist: Checklist
    rows: tuple[Filled, ...]

    def count(self, status: Status) -> int:
        """How many items have a status."""
        return sum(row.status == status for row in self.rows)

    def by_section(self) -> dict[str, list[Filled]]:
        """The items under their headings, in order."""
        sections: dict[str, list[Filled]] = {}
        for row in self.rows:
            sections.setdefault(row.item.section, []).append(row)
        return sections


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """The checklists of one model folder."""

    model: str
    """the folder's name"""
    made_by: str
    """overread's version that trained it"""
    marks: tuple[str, ...]
    """sentences that every output of the model must carry"""
    lost: tuple[str, ...]
    """files that belong to the folder and are not there"""
    lists: tuple[FilledChecklist, ...]


def load_checklist(which: str) -> Checklist:
    """One checklist by its word in `FILES`."""
    text = (importlib.resources.files("overread.report") / "checklists" / FILES[which]).read_text(encoding="utf-8")
    content = json.loads(text)
    return Checklist(**{**content, "items": tuple(Item(**item) for item in content["items"])})


def fill_in(folder: Path, which: str = BOTH) -> Reporting:
    """Fill in one checklist, or both, from a model folder.

    Raises ModelError where the folder is none, or a file of it cannot be read; SettingsError for another `which`.
    """
    if which not in (*FILES, BOTH):
        raise SettingsError(f"--which {which} is not known; it is one of {', '.join((*FILES, BOTH))}.")
    run = read_known(folder)
    return Reporting(
        model=folder.resolve().name,
        made_by=run.card.versions.get("overread", ""),
        marks=run.card.marks,
        lost=run.lost,
        lists=tuple(_fill(load_checklist(word), run) for word in (FILES if which == BOTH else (which,))),
    )


def _fill(checklist: Checklist, run: Known) -> FilledChecklist:
    return FilledChecklist(checklist=checklist, rows=tuple(_answer(item, run) for item in checklist.items))


def _answer(item: Item, run: Known) -> Filled:
    answer = Answer() if item.answer is None else ANSWERS[item.answer](run)
    return Filled(item=item, known=answer.known, add=tuple(_distinct((*answer.add, item.add))))


def _distinct(sentences: Sequence[str]) -> list[str]:
    return [sentence for sentence in dict.fromkeys(sentences) if sentence]
