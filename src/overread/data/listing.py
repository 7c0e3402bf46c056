"""What a list names, before any of its files is looked at."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overread.data.rows import Problem

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file that a list names, with what the list says of it; `where` tells in which line."""

    path: str
    label: str
    where: str = ""
    frame: int | None = None
    patient: str | None = field(default=None, repr=False)
    series: str | None = field(default=None, repr=False)
    site: str | None = None
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All that a list names. Paths of entries are posix, and relative to `root` where the file lies below it."""

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()


def clean_label(text: str) -> str:
    """A label without surrounding blanks, in the one Unicode form (folders on macOS come in another)."""
    return unicodedata.normalize("NFC", text.strip())


def resolve(path: str, root: Path) -> str:
    """A path as a list writes it, made posix and relative to `root` where the file lies below it.

    An absolute path that does not exist is taken to start from `root`, as some publishers write theirs.
    """
    wanted = Path(path)
    if "\\" in path and os.name != "nt" and not (root / path).exists():
        wanted = Path(path.replace("\\", "/"))
    if wanted.is_absolute() and not wanted.exists():
        wanted = wanted.relative_to(wanted.anchor)
    # not Path.resolve: it follows links, and the list's own names are the ones that its owner knows
    full = Path(os.path.normpath(root.absolute() / wanted))
    base = Path(os.path.normpath(root.absolute()))
    return (full.relative_to(base) if full.is_relative_to(base) else full).as_posix()


def make_entry(path: str, said: Mapping[str, str | None], *, where: str) -> Entry | Problem:
    """An entry of what a list says of a file (label, frame, patient, series, site, split), or what is wrong."""
    label, split, frame = clean_label(said.get("label") or ""), said.get("split") or None, said.get("frame") or None
    if not label:
        return Problem(path=path, kind="no-label", message=f"{where} gives no label")
    if split is not None and split.casefold() not in SPLIT_WORDS:
        known = ", ".join(SPLIT_WORDS)
        return Problem(path=path, kind="bad-split", message=f"{where} says split {split!r}; known are {known}")
    if frame is not None and not (frame.isascii() and frame.isdigit()):
        message = f"{where} says frame {frame!r}; expected a number, counted from 0"
        return Problem(path=path, kind="bad-row", message=message)
    return Entry(
        path=path,
        label=label,
        where=where,
        frame=None if frame is None else int(frame),
        patient=said.get("patient") or None,
        series=said.get("series") or None,
        site=said.get("site") or None,
        split=None if split is None else SPLIT_WORDS[split.casefold()],
    )


def sort_out(found: Iterable[Entry | Problem]) -> tuple[list[Entry], list[Problem]]:
    """Entries that can be used, and problems: those found, and files that are named more than once.

    Of rows that agree on the label the first is kept; of rows that do not, none.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            entries.append(item)
    dropped: set[int] = set()
    for places in _same_images(entries):
        repeats = [entries[place] for place in places]
        if len({entry.label for entry in repeats}) == 1:
            dropped.update(places[1:])
            problems += [_two_rows(repeats[0], entry) for entry in repeats[1:]]
        else:
            dropped.update(places)
            problems.append(_two_labels(repeats))
    return [entry for place, entry in enumerate(entries) if place not in dropped], problems


def _same_images(entries: Sequence[Entry]) -> list[list[int]]:
    """Places of entries that name the same image, for each image that is named more than once."""
    by_path: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        by_path.setdefault(os.path.normcase(entry.path), []).append(place)
    repeated = []
    for places in by_path.values():
        if len(places) < 2:
            continue
        by_frame: dict[int | None, list[int]] = {}
        # a row without a frame means the whole file, so it meets all others
        whole = any(entries[place].frame is None for place in places)
        for place in places:
            by_frame.setdefault(None if whole else entries[place].frame, []).append(place)
        repeated += [same for same in by_frame.values() if len(same) > 1]
    return repeated


def _two_rows(first: Entry, second: Entry) -> Problem:
    facts = ("patient", "series", "site", "split")
    differing = [fact for fact in facts if getattr(first, fact) != getattr(second, fact)]
    but = f", with another {' and '.join(differing)}" if differing else ""
    message = f"{second.where} names the file that {first.where} names{but}; keep one"
    return Problem(path=second.path, kind="two-rows", message=message)


def _two_labels(repeats: Sequence[Entry]) -> Problem:
    said = ", ".join(f"{entry.label} ({entry.where})" for entry in repeats[:5])
    message = f"it has labels that contradict each other: {said}; keep the right one"
    return Problem(path=repeats[0].path, kind="two-labels", message=message)
