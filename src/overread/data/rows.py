"""What a cohort is made of: rows, problems, and the settings that say how a list is read."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from overread.data.pixels import Header
from overread.errors import SettingsError
from overread.settings import setting

HARMLESS = frozenset({"unlisted"})
"""kinds of problems that are worth a line in the list, and that stop nothing"""
NO_TAGS: Mapping[str, str] = MappingProxyType({})


def patient_hash(patient: str) -> str:
    """Eight hexadecimal digits that stand for a patient: the only way one is named outside memory.

    >>> patient_hash("Patient 179")
    '6f48b155'
    """
    return hashlib.sha256(patient.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key that sorts numbers in a text by their size.

    >>> sorted(["b10.png", "b9.png"], key=natural_key)
    ['b9.png', 'b10.png']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in parts], text


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image, which is one frame of a file. Who it shows stays out of its printed form.

    `path` is posix, relative to the cohort's root (absolute where the file lies elsewhere); `split` is
    "train", "val" or "test" where the list says so; `tags` are those of the file's Header.
    """

    path: str
    label: str
    frame: int = 0
    patient: str | None = field(default=None, repr=False)
    study: str | None = field(default=None, repr=False)
    series: str | None = field(default=None, repr=False)
    site: str | None = None
    split: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS, repr=False)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with one input.

    `kind` is one of ImageError's, or no-file, no-label, two-rows, two-labels, no-patient, bad-row, bad-split,
    and unlisted, which is worth knowing and stops nothing.
    """

    path: str
    kind: str
    message: str


def count_problems(problems: Sequence[Problem]) -> str:
    """How many problems there are, and of which kinds: "3 inputs that cannot be used (empty 1, nan 2)"."""
    kinds = Counter(problem.kind for problem in problems)
    count = f"{len(problems)} input{'s' if len(problems) != 1 else ''} that cannot be used"
    return f"{count} ({', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items()))})"


def show_problems(problems: Sequence[Problem], *, at_most: int) -> list[str]:
    """A line for each problem, of every kind its first few: many of one kind must not hide another."""
    by_kind: dict[str, list[str]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(f"  {problem.path}: {problem.message}")
    lines = []
    for found in by_kind.values():
        shown = max(2, at_most // len(by_kind))
        lines += found[:shown]
        lines += [f"  ... and {len(found) - shown} more of this kind"] if len(found) > shown else []
    return lines


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Images with their labels. `rows` holds what can be used, `problems` the rest, each with its reason.

    `classes` are sorted, numbers by their size, and stay as they are in a subset. `patients_from` says where
    patients are known from: "column", "path", "dicom" or "none". `files` holds the header of each file.
    """

    root: Path
    rows: tuple[Row, ...] = field(repr=False)
    classes: tuple[str, ...]
    patients_from: str = "none"
    problems: tuple[Problem, ...] = field(default=(), repr=False)
    files: Mapping[str, Header] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.classes)}

    def labels(self) -> NDArray[np.int64]:
        """The class of each row: (n,) int64, a place in `classes`."""
        return np.array([self._codes[row.label] for row in self.rows], dtype=np.int64)

    def patients(self) -> list[str | None]:
        """The patient of each row; None where it is not known."""
        return [row.patient for row in self.rows]

    def headers(self) -> list[Header]:
        """The header of each file that holds at least one row, in the order of the rows."""
        return [self.files[path] for path in dict.fromkeys(row.path for row in self.rows) if path in self.files]

    def locate(self, row: Row) -> Path:
        """Where the file of a row lies."""
        return self.root / row.path

    def subset(self, indices: Iterable[int]) -> Cohort:
        """The rows at these places, in this order."""
        return replace(self, rows=tuple(self.rows[int(index)] for index in indices))

    def without(self, paths: Collection[str]) -> Cohort:
        """All rows but those of these files."""
        left_out = set(paths)
        return replace(self, rows=tuple(row for row in self.rows if row.path not in left_out))


@dataclass(frozen=True, kw_only=True)
class CohortSettings:
    """How a list of images is read. Column names fit whatever their case."""

    path_column: str = setting("path", "column of the list that names the file")
    label_column: str = setting("label", "column with the class")
    patient_column: str = setting("patient", "column that tells patients apart")
    series_column: str = setting("series", "column that tells series apart")
    site_column: str = setting("site", "column with the hospital or scanner, for --split site:NAME")
    split_column: str = setting("split", "column with train, val or test, for --split given")
    frame_column: str = setting("frame", "column with the frame of a multi-frame file, counted from 0")
    patient_regex: str | None = setting(
        None, "regular expression on the path whose group is the patient, such as '(p[0-9]+)/'"
    )
    labels: str | None = setting(
        None, "CSV with labels for a DICOM tree, joined by path, instance, series, study or patient"
    )
    root: str | None = setting(None, "folder that the paths in the list start from (default: the list's own)")

    def __post_init__(self) -> None:
        if self.patient_regex is not None:
            self.patient_pattern()

    def patient_pattern(self) -> re.Pattern[str]:
        """The compiled `patient_regex`, checked to have one group or one that is named `patient`."""
        try:
            pattern = re.compile(self.patient_regex or "")
        except re.error as error:
            raise SettingsError(f"--patient-regex {self.patient_regex} is no regular expression: {error}.") from None
        if pattern.groups != 1 and "patient" not in pattern.groupindex:
            raise SettingsError(
                f"--patient-regex {self.patient_regex} has {pattern.groups} groups; it needs one, in parentheses, "
                "around the part of the path that names the patient (or one named (?P<patient>...))."
            )
        return pattern
