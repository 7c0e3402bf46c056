"""Lists in a file: a CSV with one image a line, MONAI's datalist, MedMNIST's NPZ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from overread.data.folder import find_unlisted
from overread.data.image import npz_listing
from overread.data.listing import SPLIT_WORDS, Entry, Listing, make_entry, resolve, sort_out
from overread.data.rows import CohortSettings, Problem
from overread.data.table import Table, read_table
from overread.errors import CohortError

OPTIONAL = ("patient", "series", "site", "split", "frame")


def list_csv(path: Path, settings: CohortSettings) -> Listing:
    """A CSV with one image a line. Raises CohortError where a column is not there."""
    root = _root(path, settings)
    table = read_table(path, wanted=(settings.path_column, settings.label_column))
    at = {
        "path": table.need(settings.path_column, flag="--path-column"),
        "label": table.need(settings.label_column, flag="--label-column"),
        **optional_columns(table, settings),
    }
    found: list[Entry | Problem] = list(table.problems)
    named = []
    for line in table.lines:
        said = {name: line.cells[place] for name, place in at.items()}
        where = f"line {line.number} of {path.name}"
        if said["path"]:
            named.append(resolve(said["path"], root))
            found.append(make_entry(named[-1], said, where=where))
        else:
            found.append(Problem(path=path.name, kind="bad-row", message=f"{where} names no file"))
    entries, problems = sort_out(found, root)
    unlisted = find_unlisted(root, named, name=path.name)
    return Listing(root=root, entries=tuple(entries), problems=tuple(problems), unlisted=tuple(unlisted))


def list_datalist(path: Path, settings: CohortSettings) -> Listing:
    """A MONAI datalist: {"training": [{"image": ..., "label": ...}], "validation": [...], "test": [...]}.

    The lists are the split, if there is more than one of them.
    """
    root = _root(path, settings)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CohortError(f"{path.name} is no JSON that can be read: {error}. Mend it.") from None
    parts = {
        name: items
        for name, items in (content.items() if isinstance(content, dict) else ())
        if name.casefold() in SPLIT_WORDS and isinstance(items, list) and items
    }
    if not parts:
        raise CohortError(
            f"{path.name} has no list of images; expected MONAI's datalist with training, validation or test."
        )
    found = list(_datalist_entries(parts, root, path.name))
    entries, problems = sort_out(found, root)
    unlisted = find_unlisted(root, [item.path for item in found if item.path != path.name], name=path.name)
    return Listing(root=root, entries=tuple(entries), problems=tuple(problems), unlisted=tuple(unlisted))


def list_npz(path: Path) -> Listing:
    """An NPZ in MedMNIST's layout; its parts are the split, if it has more than one."""
    labels, splits = npz_listing(path)
    several = len(set(splits)) > 1
    entries = (
        Entry(path=path.name, label=label, frame=frame, split=split if several else None)
        for frame, (label, split) in enumerate(zip(labels, splits, strict=True))
    )
    return Listing(root=path.parent, entries=tuple(entries))


def optional_columns(table: Table, settings: CohortSettings) -> dict[str, int]:
    """Where the columns stand that a list may have. Raises CohortError for one that was asked for by name."""
    places = {
        name: table.want(getattr(settings, f"{name}_column"), flag=f"--{name}-column", default=name)
        for name in OPTIONAL
    }
    return {name: place for name, place in places.items() if place is not None}


def _root(path: Path, settings: CohortSettings) -> Path:
    root = Path(settings.root) if settings.root else path.parent
    if not root.is_dir():
        raise CohortError(f"--root {root} is not a folder. Name the one that the paths in {path.name} start from.")
    return root


def _datalist_entries(parts: Mapping[str, list[Any]], root: Path, list_name: str) -> Iterator[Entry | Problem]:
    for name, items in parts.items():
        for number, item in enumerate(items):
            where = f"{name}[{number}] of {list_name}"
            fields = item if isinstance(item, dict) else {"image": item}
            image = fields.get("image")
            if not isinstance(image, str) or not image.strip():
                message = f"{where} names no file; expected one path in 'image'"
                yield Problem(path=list_name, kind="bad-row", message=message)
                continue
            said = {key: _text(fields.get(key)) for key in ("label", "patient", "series", "site", "frame")}
            said["patient"] = said["patient"] or _text(fields.get("subject"))
            said["split"] = name if len(parts) > 1 else None
            path = resolve(image.strip(), root)
            if isinstance(fields.get("label"), list | dict):
                message = f"{where} has a label that is a list; expected one class"
                yield Problem(path=path, kind="bad-row", message=message)
            else:
                yield make_entry(path, said, where=where)


def _text(value: Any) -> str | None:
    """A JSON value as the text of a label: 1 and 1.0 are both "1"."""
    if value is None or isinstance(value, list | dict):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None
