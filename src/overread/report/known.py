"""What a model folder knows of its own run: its files, read and checked, without torch."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from overread.errors import ModelError, SettingsError
from overread.evaluate.score import Score
from overread.explain.trust import FILE as EXPLANATION
from overread.model import bundle
from overread.model.bundle import Card
from overread.report.evaluated import Evaluated, Explained, parse_evaluated, parse_explained
from overread.settings import TrainSettings, from_dict

PARTS = {"train": "training", "val": "tuning (validation)", "calibrate": "calibration", "test": "test"}
"""the parts in their order, in the words of a manuscript: CLAIM asks to avoid `validation` by itself"""
OPTIONAL = ("audit.json", "evaluation.json", EXPLANATION, "skipped.csv")
_HARMLESS = "unlisted"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part:
    """How much one part of the cohort holds."""

    name: str
    n_images: int
    n_patients: int | None
    """None where not every patient is known"""
    images: Mapping[str, int]
    """by class"""
    patients: Mapping[str, int]
    """by class, of those that are known"""


@dataclass(frozen=True, kw_only=True)
class Division:
    """The parts of a cohort, as `split.csv` has them. Patients stand there as hashes, and are only counted."""

    parts: tuple[Part, ...]
    n_unused: int
    """images that belong to no part"""
    n_unknown: int
    """images whose patient is not known"""
    n_patients: int
    n_shared: int
    """patients with images in more than one part"""

    def part(self, name: str) -> Part | None:
        """One part by its name in `split.csv`; None where the cohort has none."""
        return next((part for part in self.parts if part.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check of the audit found; images and patients stay in `audit.json`."""

    code: str
    severity: str
    title: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What `audit.json` says."""

    verdict: str
    n_checks: int
    findings: tuple[Finding, ...]
    ignored: Mapping[str, str]
    """the reason for each check that was left out of the verdict, by code"""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What `training.json` says."""

    source_kind: str
    """what the images were read from, in words: its name may name a patient"""
    train: TrainSettings
    cohort: Mapping[str, Any]
    found: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    git_commit: str | None


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that the answers are made from."""

    card: Card
    record: Record
    score: Score
    division: Division
    skipped: Mapping[str, int]
    """inputs that could not be used and were left out, by kind"""
    audited: Audited | None
    evaluated: Evaluated | None
    explained: Explained | None
    lost: tuple[str, ...]
    """files that `model.json` vouches for and that are not there"""


def read_known(folder: Path) -> Known:
    """Read a model folder. Raises ModelError where it is none, or a file is missing, changed or cannot be read.

    What the files of `OPTIONAL` say is not known without them; that is no error.
    """
    card = bundle.load_card(folder, verify=())
    texts = _Texts(folder, card)
    return Known(
        card=card,
        record=texts.read("training.json", _parse_record),
        score=texts.read("metrics.json", lambda text: Score.from_json(json.loads(text))),
        division=texts.read("split.csv", lambda text: _divide(text, card.classes)),
        skipped=texts.read_if_there("skipped.csv", _count_skipped) or {},
        audited=texts.read_if_there("audit.json", _parse_audit),
        evaluated=texts.read_if_there("evaluation.json", lambda text: parse_evaluated(json.loads(text))),
        explained=texts.read_if_there(EXPLANATION, lambda text: parse_explained(json.loads(text))),
        lost=tuple(name for name in OPTIONAL if name in card.files and not (folder / name).is_file()),
    )


class _Texts:
    """The files of a folder, each checked by its hash before it is read."""

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card

    def read(self, name: str, parse: Callable[[str], T]) -> T:
        content = bundle.read_verified(self.folder, name, self.card.files)
        try:
            return parse(content.decode("utf-8"))
        except KeyError as fault:
            found = f"{fault} is missing"
        except (ValueError, TypeError, AttributeError, RecursionError, SettingsError) as fault:
            found = str(fault).rstrip(".")
        raise ModelError(f"{self.folder / name} cannot be read: {found}. Take the folder from its source again.")

    def read_if_there(self, name: str, parse: Callable[[str], T]) -> T | None:
        return self.read(name, parse) if (self.folder / name).is_file() else None


def _parse_record(text: str) -> Record:
    content = json.loads(text)
    return Record(
        source_kind=_kind_of(Path(content["source"])),
        train=from_dict(TrainSettings, content["train"]),
        cohort=dict(content["cohort"]),
        found=dict(content["found"]),
        versions=dict(content["versions"]),
        machine=dict(content["machine"]),
        git_commit=content["git_commit"],
    )


def _kind_of(source: Path) -> str:
    kinds = {
        ".csv": "a list (CSV) that names each image with its class",
        ".json": "a list (JSON, as MONAI's) that names each image with its class",
        ".npz": "an NPZ file (as MedMNIST's) with images and classes",
    }
    return kinds.get(source.suffix.casefold(), "a folder of images")


def _divide(text: str, classes: tuple[str, ...]) -> Division:
    rows = list(csv.DictReader(io.StringIO(text)))
    used = [row for row in rows if row["split"]]
    parts_of: dict[str, set[str]] = {}
    for row in used:
        if row["patient"]:
            parts_of.setdefault(row["patient"], set()).add(row["split"])
    return Division(
        parts=tuple(_part(name, used, classes) for name in PARTS if any(row["split"] == name for row in used)),
        n_unused=len(rows) - len(used),
        n_unknown=sum(not row["patient"] for row in used),
        n_patients=len(parts_of),
        n_shared=sum(len(parts) > 1 for parts in parts_of.values()),
    )


def _part(name: str, rows: list[dict[str, str]], classes: tuple[str, ...]) -> Part:
    mine = [row for row in rows if row["split"] == name]
    patients = {row["patient"] for row in mine}
    return Part(
        name=name,
        n_images=len(mine),
        n_patients=None if "" in patients else len(patients),
        images={label: sum(row["label"] == label for row in mine) for label in classes},
        patients={label: len({row["patient"] for row in mine if row["label"] == label} - {""}) for label in classes},
    )


def _count_skipped(text: str) -> dict[str, int]:
    kinds = Counter(row["kind"] for row in csv.DictReader(io.StringIO(text)))
    return {kind: n for kind, n in sorted(kinds.items()) if kind != _HARMLESS}


def _parse_audit(text: str) -> Audited:
    content = json.loads(text)
    return Audited(
        verdict=content["verdict"],
        n_checks=len(content["asked"]),
        findings=tuple(
            Finding(code=one["code"], severity=one["severity"], title=one["title"], what=one["what"])
            for one in content["findings"]
        ),
        ignored=dict(content["why"]),
    )
