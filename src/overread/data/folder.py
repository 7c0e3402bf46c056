"""A folder of images: its files, and its sub-folders as classes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from overread.data.image import sniff
from overread.data.listing import SPLIT_WORDS, Entry, Listing, clean_label, file_identity, sort_out
from overread.data.rows import Problem
from overread.errors import CohortError, ImageError

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "dicomdir", "__macosx"}
_NO_CLASSES = {
    "annotations",
    "dcm",
    "dicom",
    "images",
    "jpeg",
    "jpg",
    "labels",
    "masks",
    "nifti",
    "png",
    "tif",
    "tiff",
}
_MAX_LOOKED_AT = 50_000


def list_files(root: Path, *, all_of_them: bool = True) -> Iterator[str]:
    """Files below a folder, posix and relative to it, in order; hidden and system files are passed over.

    Links to folders are followed, and each folder is entered once. Raises CohortError for a folder that may not
    be entered, unless `all_of_them` is False.
    """
    seen: set[str] = set()
    for folder, names, files in os.walk(root, followlinks=True, onerror=_refuse if all_of_them else None):
        real = os.path.realpath(folder)
        fresh = real not in seen
        seen.add(real)
        names[:] = sorted(name for name in names if fresh and not _is_system(name))
        for name in sorted(files):
            if fresh and not _is_system(name):
                yield (Path(folder) / name).relative_to(root).as_posix()


def list_folder(root: Path) -> Listing:
    """A folder whose sub-folders are the classes, or train, val and test with the classes in each.

    Raises CohortError where there are fewer than two classes.
    """
    paths = list(list_files(root))
    parts = _part_folders(paths)
    found = [_entry(root, path, parts) for path in paths]
    entries, problems = sort_out(found, root)
    labels = {item.label for item in found if isinstance(item, Entry)}
    if len(labels) < 2:
        raise CohortError(_too_few_classes(root, sorted(labels), problems))
    if all(label.casefold() in _NO_CLASSES for label in labels):
        raise CohortError(
            f"{root.name or root} has the folders {', '.join(sorted(labels))}, which name kinds of files and no "
            "classes. Give the one with the class folders in it, or a CSV with path and label."
        )
    filled = {path.split("/", 1)[0] for path in paths}
    for child in sorted(root.iterdir()):
        if child.is_dir() and not _is_system(child.name) and child.name not in filled:
            message = "this class folder holds no file of its own; fill or remove it"
            problems.append(Problem(path=child.name, kind="no-file", message=message))
    return Listing(root=root, entries=tuple(entries), problems=tuple(problems))


def find_unlisted(root: Path, listed: Collection[str], *, name: str) -> list[Problem]:
    """Files that lie among those of the list `name`, end as they do, and are named by no row: a Problem each.

    Looks below the innermost folder that holds all listed files, at 50,000 files at most, and opens none.
    """
    inside = [path for path in listed if not path.startswith(("/", "../")) and not Path(path).is_absolute()]
    if not inside:
        return []
    top = os.path.commonpath([os.path.dirname(path) for path in inside])  # noqa: PTH120 - paths as text
    names, endings = set(listed), {Path(path).suffix.casefold() for path in inside}
    message = f"no row of {name} names it, so it has no label; add a row, or move it elsewhere"
    found, more = [], []
    for count, below in enumerate(list_files(root / top, all_of_them=False)):
        if count >= _MAX_LOOKED_AT:
            rest = f"more than {_MAX_LOOKED_AT:,} files lie here; the rest were not compared with {name}"
            more = [Problem(path=top or ".", kind="unlisted", message=rest)]
            break
        path = f"{top}/{below}" if top else below
        if path not in names and Path(path).suffix.casefold() in endings:
            found.append(path)
    known = {file_identity(root / path) for path in inside} if found else set()
    unlisted = [path for path in found if file_identity(root / path) not in known]
    return [*(Problem(path=path, kind="no-label", message=message) for path in unlisted), *more]


def _refuse(error: OSError) -> None:
    name = Path(str(error.filename)).name
    raise CohortError(f"The folder {name} cannot be listed ({error.strerror}). Check its permissions.")


def _part_folders(paths: Iterable[str]) -> dict[str, str]:
    """The part that each first folder stands for, if two or more are named so: never classes by mistake."""
    tops = {path.split("/", 1)[0] for path in paths if "/" in path}
    parts = {top: SPLIT_WORDS[top.casefold()] for top in sorted(tops) if top.casefold() in SPLIT_WORDS}
    return parts if len(set(parts.values())) > 1 else {}


def _entry(root: Path, path: str, parts: Mapping[str, str]) -> Entry | Problem:
    """What a file's folders say of it; a file that lies beside them is a Problem."""
    first, *below = path.split("/")
    if parts and first in parts and len(below) > 1:
        return Entry(path=path, label=clean_label(below[0]), where=path, split=parts[first])
    if not parts and below:
        return Entry(path=path, label=clean_label(first), where=path)
    return _beside_classes(root, path)


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
