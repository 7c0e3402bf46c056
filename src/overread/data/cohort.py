"""From a folder, a list or a DICOM tree to a cohort: who is in it, what each image shows, what is wrong."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from overread.data.folder import list_files, list_folder
from overread.data.image import Header, read_header, sniff
from overread.data.labels import join_labels
from overread.data.listing import Entry, Listing
from overread.data.manifest import list_csv, list_datalist, list_npz
from overread.data.rows import (
    NO_TAGS,
    Cohort,
    CohortSettings,
    Problem,
    Row,
    count_problems,
    natural_key,
    patient_hash,
    show_problems,
)
from overread.errors import CohortError, ImageError

__all__ = ["Cohort", "CohortSettings", "Problem", "Row", "patient_hash", "read_cohort"]

_THREADS = min(8, (os.cpu_count() or 1) + 2)
_SHOWN = 50


def read_cohort(source: str | Path, settings: CohortSettings | None = None) -> Cohort:
    """Read a list of images with labels, and the header of every file in it. No pixels are decoded.

    `source` is a folder with a sub-folder a class, a CSV, a MONAI datalist (JSON), an NPZ in MedMNIST's
    layout, or a DICOM tree with `settings.labels`. Patients come from the list's column, else from the path
    (`settings.patient_regex`), else from DICOM headers. What cannot be used is in `problems` and not in
    `rows`. Raises CohortError where no cohort is left: no such source or column, or fewer than two classes.
    """
    source, settings = Path(source), settings or CohortSettings()
    if not source.exists():
        raise CohortError(f"{source} is not there. Name a folder, a CSV, a datalist (JSON) or an NPZ.")
    if settings.labels and not source.is_dir():
        raise CohortError(f"--labels goes with a folder of images, and {source.name} is a list. Drop one of them.")
    if settings.labels:
        listing, headers = _list_tree(source, settings)
    else:
        listing = _list(source, settings)
        headers = read_headers(listing.root, (entry.path for entry in listing.entries))
    rows, problems = _rows(listing, headers)
    patients_from = _patients_from(rows, listing, settings, headers)
    rows, without = _with_patients(rows, patients_from, headers, settings)
    problems = [*listing.problems, *problems, *without, *listing.unlisted]
    # what stops a run comes first
    problems.sort(key=lambda problem: problem.kind == "unlisted")
    return Cohort(
        root=listing.root,
        rows=tuple(rows),
        classes=_classes(rows, problems, source.name),
        patients_from=patients_from,
        problems=tuple(problems),
        files={path: header for path, header in headers.items() if isinstance(header, Header)},
    )


def read_headers(root: Path, paths: Iterable[str]) -> dict[str, Header | ImageError]:
    """The header of each file, or why it has none, in the order of `paths`; each file is opened once."""
    distinct = list(dict.fromkeys(paths))

    def read(path: str) -> Header | ImageError:
        try:
            return read_header(root / path)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(distinct, threads.map(read, distinct), strict=True))


def _list(source: Path, settings: CohortSettings) -> Listing:
    if source.is_dir():
        return list_folder(source)
    try:
        found = sniff(source)
    except ImageError as error:
        if error.kind != "not-an-image":
            raise CohortError(f"{error} Expected a folder, a CSV, a datalist (JSON) or an NPZ.") from None
        is_json = source.suffix.casefold() == ".json"
        return list_datalist(source, settings) if is_json else list_csv(source, settings)
    if found == "npz":
        return list_npz(source)
    raise CohortError(
        f"{source.name} is one image ({found}), not a list of them. Give a folder with a sub-folder a class, or a "
        "CSV with path and label."
    )


def _list_tree(root: Path, settings: CohortSettings) -> tuple[Listing, dict[str, Header | ImageError]]:
    """A tree of images whose labels stand in a CSV, which may itself lie in the tree."""
    labels = os.path.realpath(str(settings.labels))
    headers = read_headers(root, (path for path in list_files(root) if os.path.realpath(root / path) != labels))
    listing = join_labels(root, headers, settings)
    bad = [_unreadable(path, error) for path, error in headers.items() if isinstance(error, ImageError)]
    return replace(listing, problems=(*bad, *listing.problems)), headers


def _rows(listing: Listing, headers: Mapping[str, Header | ImageError]) -> tuple[list[Row], list[Problem]]:
    """A row for each frame that the list names; files that cannot be read are problems."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for entry in listing.entries:
        header = headers[entry.path]
        if isinstance(header, ImageError):
            problems.append(_unreadable(entry.path, header, entry.where))
        elif entry.frame is not None and entry.frame >= header.n_frames:
            message = f"{entry.where} names frame {entry.frame}, and the file has {header.n_frames}, from 0"
            problems.append(Problem(path=entry.path, kind="bad-row", message=message))
        else:
            rows.extend(_frames(entry, header))
    return rows, list(dict.fromkeys(problems))


def _unreadable(path: str, error: ImageError, where: str = "") -> Problem:
    if error.kind == "missing":
        found = f"{where} names it" if where not in ("", path) else "it is a link"
        return Problem(path=path, kind="no-file", message=f"{found}, and the file is not there")
    return Problem(path=path, kind=error.kind, message=str(error))


def _frames(entry: Entry, header: Header) -> Iterator[Row]:
    series = entry.series or header.series
    if series is None and header.n_frames > 1 and header.format != "npz":
        series = f"file {entry.path}"  # slices of one volume, pages of one document: never to be divided
    for frame in range(header.n_frames) if entry.frame is None else [entry.frame]:
        yield Row(
            path=entry.path,
            label=entry.label,
            frame=frame,
            patient=entry.patient,
            study=header.study,
            series=series,
            site=entry.site,
            split=entry.split,
            tags=header.tags or NO_TAGS,
        )


def _patients_from(
    rows: list[Row], listing: Listing, settings: CohortSettings, headers: Mapping[str, Header | ImageError]
) -> str:
    """The first source that knows any patient. It is the only one used: two sources name one patient twice."""
    if any(row.patient for row in rows):
        return "column"
    if settings.patient_regex is not None:
        return "path"
    used = (headers[entry.path] for entry in listing.entries)
    return "dicom" if any(isinstance(header, Header) and header.patient for header in used) else "none"


def _with_patients(
    rows: list[Row], source: str, headers: Mapping[str, Header | ImageError], settings: CohortSettings
) -> tuple[list[Row], list[Problem]]:
    """The rows with their patients; a path that the regular expression does not fit is a Problem."""
    if source in ("column", "none"):
        return rows, []
    if source == "dicom":
        return [replace(row, patient=_patient_of(headers[row.path])) for row in rows], []
    find = partial(_patient_in_path, settings.patient_pattern())
    patients = {path: find(path) for path in dict.fromkeys(row.path for row in rows)}
    message = f"--patient-regex {settings.patient_regex} finds no patient in this path"
    problems = [
        Problem(path=path, kind="no-patient", message=message) for path, found in patients.items() if not found
    ]
    return [replace(row, patient=patients[row.path]) for row in rows if patients[row.path]], problems


def _patient_of(header: Header | ImageError) -> str | None:
    return header.patient if isinstance(header, Header) else None


def _patient_in_path(pattern: re.Pattern[str], path: str) -> str | None:
    found = pattern.search(path)
    if found is None:
        return None
    named: str | None = found["patient"] if "patient" in pattern.groupindex else found[1]
    return named


def _classes(rows: list[Row], problems: list[Problem], name: str) -> tuple[str, ...]:
    """The classes in natural order. Raises CohortError for fewer than two, and for a label an image."""
    labels = {row.label for row in rows}
    if len(labels) < 2:
        found = f"one class ({labels.pop()})" if labels else "no image that can be used"
        gone = sum(problem.kind == "no-file" for problem in problems)
        do = (
            f" {gone} files are not where it says; --root names the folder that its paths start from." if gone else ""
        )
        raise CohortError(f"{name} has {found}; expected two classes or more.{do}{_reasons(problems)}")
    if len(labels) > max(20, len(rows) // 2):
        raise CohortError(
            f"{name} has {len(labels)} different labels for {len(rows)} images, so the labels are no classes. Name "
            "the column with the class by --label-column."
        )
    spellings = Counter(label.casefold() for label in labels)
    if several := sorted(label for label in labels if spellings[label.casefold()] > 1):
        raise CohortError(
            f"{name} writes one class in several ways ({', '.join(several)}), which would be learnt as different "
            "diseases. Write it in one way."
        )
    return tuple(sorted(labels, key=natural_key))


def _reasons(problems: list[Problem]) -> str:
    if not problems:
        return ""
    return "\n".join([f" Left out: {count_problems(problems)}.", *show_problems(problems, at_most=_SHOWN)])
