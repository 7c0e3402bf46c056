"""A folder of images: its files, and its sub-folders as classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from overread.data.image import sniff
from overread.data.listing import Entry, Listing, clean_label
from overread.data.rows import Problem
from overread.errors import CohortError, ImageError

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "dicomdir", "__macosx"}
_MAX_LOOKED_AT = 50_000


def list_files(root: Path) -> Iterator[str]:
    """Files below a folder, posix and relative to it, in order; hidden and system files are passed over.

    Links to folders are followed, and each folder is entered once.
    """
    seen: set[str] = set()
    for folder, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        fresh = real not in seen
        seen.add(real)
        names[:] = sorted(name for name in names if fresh and not _is_system(name))
        for name in sorted(files):
            if fresh and not _is_system(name):
                yield (Path(folder) / name).relative_to(root).as_posix()


def list_folder(root: Path) -> Listing:
    """A folder whose sub-folders are the classes. Raises CohortError where there are fewer than two."""
    entries, problems = [], []
    for path in list_files(root):
        if "/" in path:
            entries.append(Entry(path=path, label=clean_label(path.split("/", 1)[0]), where=path))
        else:
            problems.append(_beside_classes(root, path))
    filled = {entry.path.split("/", 1)[0] for entry in entries}
    for child in sorted(root.iterdir()):
        if child.is_dir() and not _is_system(child.name) and child.name not in filled:
            message = "this class folder holds no file; fill or remove it"
            problems.append(Problem(path=child.name, kind="no-file", message=message))
    if len(filled) < 2:
        raise CohortError(_too_few_classes(root, sorted(filled), problems))
    return Listing(root=root, entries=tuple(entries), problems=tuple(problems))


def find_unlisted(root: Path, listed: Collection[str]) -> list[Problem]:
    """Files that lie among the listed ones, end as they do, and are named by no row: a Problem a folder.

    Looks below the innermost folder that holds all listed files, at 50,000 files at most, and opens none.
    """
    inside = [path for path in listed if not path.startswith(("/", "../")) and not Path(path).is_absolute()]
    if not inside:
        return []
    top = os.path.commonpath([os.path.dirname(path) for path in inside])  # noqa: PTH120 - paths as text
    names, endings = set(listed), {Path(path).suffix.casefold() for path in inside}
    by_folder: dict[str, list[str]] = defaultdict(list)
    for count, below in enumerate(list_files(root / top)):
        if count >= _MAX_LOOKED_AT:
            break
        path = f"{top}/{below}" if top else below
        if path not in names and Path(path).suffix.casefold() in endings:
            by_folder[Path(path).parent.as_posix()].append(Path(path).name)
    return [_unlisted(folder, files) for folder, files in by_folder.items()]


def _unlisted(folder: str, files: list[str]) -> Problem:
    shown = ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
    count = f"{len(files)} files lie" if len(files) > 1 else "1 file lies"
    message = f"{count} among the listed ones and no row names them: {shown}"
    return Problem(path=folder, kind="unlisted", message=message)


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM_FILES


def _beside_classes(root: Path, path: str) -> Problem:
    """A file that lies beside the class folders: an image without a label, or something else."""
    try:
        sniff(root / path)
    except ImageError as error:
        if error.kind == "not-an-image":
            message = "it is no image and lies beside the class folders; it was left alone"
            return Problem(path=path, kind="unlisted", message=message)
    message = "it lies beside the class folders, so it has no label; move it into one of them"
    return Problem(path=path, kind="no-label", message=message)


def _too_few_classes(root: Path, classes: list[str], problems: list[Problem]) -> str:
    found = f"one class folder ({classes[0]})" if classes else "no class folder that holds files"
    lists = [problem.path for problem in problems if problem.path.casefold().endswith((".csv", ".json"))]
    if lists:
        do = f"It holds {lists[0]}: if that is the list of the images, give it instead of the folder."
    else:
        do = "Make a sub-folder a class, at least two, or give a CSV with path and label (--labels for DICOM)."
    return f"{root.name or root} has {found}. {do}"
