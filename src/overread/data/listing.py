"""What a list names, before any of its files is looked at."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from overread.data.rows import Problem

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "calibrate": "calibrate",
    "calibration": "calibrate",
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
    """All that a list names. Paths of entries are posix, and relative to `root` where the file lies below it.

    `unlisted` are the files among them that it does not name.
    """

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
    unlisted: tuple[Problem, ...] = ()


def clean_label(text: str) -> str:
    """A label without surrounding blanks, in the one Unicode form (folders on macOS come in another)."""
    return unicodedata.normalize("NFC", text.strip())


def resolve(path: str, root: Path) -> str:
    """A path as a list writes it, made posix and relative to `root` where the file lies below it.

    An absolute path that does not exist is taken to start from `root`, as some publishers write theirs; so is one
    with a Windows drive elsewhere than on Windows.
    """
    wanted = Path(path)
    if "\\" in path and os.name != "nt" and not os.path.exists(root / path):  # noqa: PTH110 - see below
        windows = PureWindowsPath(path)
        wanted = Path(windows.relative_to(windows.anchor).as_posix())
    # os.path.exists: unlike Path.exists it takes a name that is too long, or forbidden, for one that is not there
    if wanted.is_absolute() and not os.path.exists(wanted):  # noqa: PTH110
        wanted = wanted.relative_to(wanted.anchor)
    # not Path.resolve: it follows links, and the list's own names are the ones that its owner knows
    full = Path(os.path.normpath(root.absolute() / wanted))
    base = Path(os.path.normpath(root.absolute()))
    return (full.relative_to(base) if full.is_relative_to(base) else full).as_posix()


def file_identity(path: Path) -> Hashable:
    """What is equal for two names of one file: links, and spellings that the disk takes for the same."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return os.path.normcase(path)
    # some network drives number no files
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.normcase(path)


def make_entry(path: str, said: Mapping[str, str | None], *, where: str) -> Entry | Problem:
    """An entry of what a list says of a file (label, frame, patient, series, site, split), or what is wrong."""
    label, split, frame = clean_label(said.get("label") or ""), said.get("split") or None, said.get("frame") or None
    if not label:
        return Problem(path=path, kind="no-label", message=f"{where} gives no label")
    if split is not None and split.casefold() not in SPLIT_WORDS:
        known = ", ".join(SPLIT_WORDS)
        # not what it says: in a line whose cells are shifted that may be a patient's name
        message = f"{where} has a word for its part that is not known; known are {known}"
        return Problem(path=path, kind="bad-split", message=message)
    if frame is not None and not (frame.isascii() and frame.isdigit()):
        message = f"{where} has a frame that is no number; expected one, counted from 0"
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


def sort_out(found: Iterable[Entry | Problem], root: Path) -> tuple[list[Entry], list[Problem]]:
    """Entries that can be used, and problems: those found, and files below `root` that are named more than once.

    Of rows that agree on the label the first is kept; of rows that do not, none. Each row that is not kept is a
    Problem. A file is known by where it lies on the disk, so a link to it is one of its names.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            entries.append(item)
    dropped: set[int] = set()
    for places in _same_images(entries, root):
        repeats = [entries[place] for place in places]
        if len({entry.label for entry in repeats}) == 1:
            dropped.update(places[1:])
            problems += [_two_rows(repeats[0], entry) for entry in repeats[1:]]
        else:
            dropped.update(places)
            problems += [_two_labels(entry, repeats) for entry in repeats]
    return [entry for place, entry in enumerate(entries) if place not in dropped], problems


def _same_images(entries: Sequence[Entry], root: Path) -> list[list[int]]:
    """Places of entries that name the same image, for each image that is named more than once."""
    files = {path: file_identity(root / path) for path in {entry.path for entry in entries}}
    by_file: dict[Hashable, list[int]] = {}
    for place, entry in enumerate(entries):
        by_file.setdefault(files[entry.path], []).append(place)
    repeated = []
    for places in by_file.values():
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
    otherwise = "" if first.path == second.path else f" as {first.path}"
    message = f"{second.where} names the file that {first.where} names{otherwise}{but}; keep one"
    return Problem(path=second.path, kind="two-rows", message=message)


def _two_labels(entry: Entry, repeats: Sequence[Entry]) -> Problem:
    others = [f"{other.where} says {other.label}" for other in repeats if other.label != entry.label]
    message = f"{entry.where} says {entry.label}, and of the same file {', '.join(others[:3])}; keep the right one"
    return Problem(path=entry.path, kind="two-labels", message=message)
