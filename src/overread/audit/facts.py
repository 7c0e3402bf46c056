"""What is known of an image without looking at it: its scanner, its patient, its file; as numbers for a probe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from overread.audit.subject import Subject
from overread.stats.probe import Floats

SCANNER = ("manufacturer", "model", "kernel", "window", "spacing_mm", "thickness_mm", "kvp")
FILE = ("format", "photometric", "size")
PATIENT = ("sex", "age_years", "month")
_MOST_VALUES = 20
"""of a tag; rarer ones count as one"""
_MEASURED_FROM = 10
"""distinct numbers, from which a tag is a measure and not a name"""
_TOLD_VALUES = 3
_TELLING = 0.2
"""share of the images beyond chance whose class a value names, from which a fact is told of"""


def scanner_facts(subject: Subject) -> Floats | None:
    """The scanner's settings: (n, d); None where no header tells any."""
    return _tag_table(subject, SCANNER)


def patient_facts(subject: Subject) -> Floats | None:
    """Sex, age and month of the study: (n, d); None where no header tells any."""
    return _tag_table(subject, PATIENT)


def file_facts(subject: Subject) -> Floats | None:
    """Format, colours, rows, columns and bytes of each image's file: (n, d); None where all are alike."""
    if any(row.path not in subject.cohort.files for row in subject.cohort.rows):
        return None
    headers = [subject.cohort.files[row.path] for row in subject.cohort.rows]
    columns = [_as_numbers(_values(subject, fact)) for fact in ("format", "photometric")]
    sizes = [
        [header.rows for header in headers],
        [header.columns for header in headers],
        [_bytes(subject, at) for at in range(len(subject))],
    ]
    columns += [np.log(np.maximum(np.array(values, np.float64), 1))[:, None] for values in sizes]
    return _varying(columns)


def telling(subject: Subject, facts: Sequence[str]) -> str:
    """Which of these facts go with the classes, as a sentence with a space before it; "" where none does."""
    labels = [row.label for row in subject.cohort.rows]
    chance = max(Counter(labels).values()) / len(labels)
    shares = {}
    for fact in facts:
        values = _values(subject, fact)
        if 1 < len(set(values)) <= _MOST_VALUES:
            shares[fact] = _predicted(values, labels)
    best = [fact for fact, share in shares.items() if share > chance + _TELLING * (1 - chance)]
    best.sort(key=lambda fact: -shares[fact])
    if not best:
        return ""
    also = f"; also with {', '.join(map(_in_words, best[1:]))}" if best[1:] else ""
    return f" It goes with {_in_words(best[0])} ({_by_class(subject, best[0])}){also}."


def _by_class(subject: Subject, fact: str) -> str:
    """The most frequent values of a fact in each class, with their counts."""
    counts = {name: Counter[str]() for name in subject.cohort.classes}
    for row, value in zip(subject.cohort.rows, _values(subject, fact), strict=True):
        counts[row.label][value] += 1
    return "; ".join(
        f"{name}: {', '.join(f'{value} {n}' for value, n in count.most_common(_TOLD_VALUES))}"
        for name, count in counts.items()
    )


def _in_words(fact: str) -> str:
    return {"kvp": "tube voltage", "photometric": "colour type"}.get(fact, fact.removesuffix("_mm"))


def _values(subject: Subject, fact: str) -> list[str]:
    """One fact of each image, as text."""
    rows, files = subject.cohort.rows, subject.cohort.files
    if fact in ("format", "size"):
        headers = [files.get(row.path) for row in rows]
        if fact == "format":
            return [header.format if header else "" for header in headers]
        return [f"{header.columns} x {header.rows}" if header else "" for header in headers]
    return [row.tags.get(fact, "not stated") for row in rows]


def _predicted(values: Sequence[str], labels: Sequence[str]) -> float:
    """How many of the images have the class that is the most frequent for their value."""
    by_value: dict[str, Counter[str]] = {}
    for value, label in zip(values, labels, strict=True):
        by_value.setdefault(value, Counter())[label] += 1
    return sum(max(counts.values()) for counts in by_value.values()) / max(1, len(values))


def _tag_table(subject: Subject, tags: Sequence[str]) -> Floats | None:
    rows = subject.cohort.rows
    known = [tag for tag in tags if any(tag in row.tags for row in rows)]
    return _varying([_as_numbers([row.tags.get(tag, "") for row in rows]) for tag in known])


def _varying(columns: Sequence[Floats]) -> Floats | None:
    """The columns that are not the same for all images; None where there is none."""
    if not columns:
        return None
    table = np.concatenate(columns, axis=1)
    table = table[:, table.std(axis=0) > 0]
    return table if table.shape[1] else None


def _as_numbers(values: Sequence[str]) -> Floats:
    """A tag as columns: a measure as its ranks and whether it is known, a name as a column a value."""
    counts = Counter(values)
    numbers = np.array([_number(value) for value in values])
    is_known = np.isfinite(numbers)
    if len(counts) > _MEASURED_FROM and is_known.mean() > 0.5:
        middle = np.median(numbers[is_known])
        return np.column_stack([np.where(is_known, numbers, middle), is_known])
    kept = [value for value, _ in counts.most_common(_MOST_VALUES)]
    return np.array([[value == name for name in kept] for value in values], np.float64).reshape(len(values), -1)


def _number(text: str) -> float:
    """The first number of a tag such as 40/80 or 0.488x0.488; nan where it is none."""
    try:
        return float(text.replace("/", "x").split("x")[0])
    except ValueError:
        return float("nan")


def _bytes(subject: Subject, index: int) -> float:
    """The size of the file in bytes for each image that it holds."""
    row = subject.row(index)
    header = subject.cohort.files[row.path]
    try:
        return subject.cohort.locate(row).stat().st_size / max(1, header.n_frames)
    except OSError:
        return 0.0
