"""Labels for a DICOM tree from a CSV: joined by path, or by who or what the headers say an image is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from overread.data.listing import Entry, Listing, make_entry, resolve, sort_out
from overread.data.manifest import optional_columns
from overread.data.pixels import Header
from overread.data.rows import CohortSettings, Problem
from overread.data.table import Line, Table, read_table
from overread.errors import CohortError, ImageError

Headers = Mapping[str, Header | ImageError]
_ALIASES = {
    "instance": ("instance", "SOPInstanceUID", "sop_instance_uid", "instance_uid"),
    "series": ("SeriesInstanceUID", "series_instance_uid", "series_uid"),
    "study": ("study", "StudyInstanceUID", "study_instance_uid", "study_uid"),
    "patient": ("PatientID", "patient_id"),
}


def join_labels(root: Path, headers: Headers, settings: CohortSettings) -> Listing:
    """Give each readable file of a tree the label of its row in `settings.labels`.

    The column to join by is the most exact one that the CSV has: path, then instance, series, study and
    patient. Raises CohortError where there is none, or no label column.
    """
    path = Path(str(settings.labels))
    if not path.is_file():
        raise CohortError(f"--labels {path} is not there. Name a CSV with labels.")
    table = read_table(path, wanted=(settings.label_column, settings.patient_column, settings.path_column))
    label = table.need(settings.label_column, flag="--label-column")
    key, place = _key(table, settings)
    columns = {"label": label, **optional_columns(table, settings)}
    if key != "path":
        columns.pop("frame", None)
    lines, problems = _lines_by_key(table, place, label, root if key == "path" else None)
    found: list[Entry | Problem] = [*table.problems, *problems]
    matched: set[str] = set()
    for file, header in headers.items():
        value = file if key == "path" else getattr(header, key, None)
        matched.add(value or "")
        if not isinstance(header, ImageError):
            found += _entries(file, lines.get(value or "", []), columns, table.name, key)
    found += [
        Problem(path=table.name, kind="no-file", message=_no_file(table.name, lines[value][0], key))
        for value in lines
        if value not in matched
    ]
    entries, problems = sort_out(found, root)
    return Listing(root=root, entries=tuple(entries), problems=tuple(problems))


def _key(table: Table, settings: CohortSettings) -> tuple[str, int]:
    """The column that joins: what it holds, and its place."""
    names = {
        "path": (settings.path_column,),
        "instance": _ALIASES["instance"],
        "series": (settings.series_column, *_ALIASES["series"]),
        "study": _ALIASES["study"],
        "patient": (settings.patient_column, *_ALIASES["patient"]),
    }
    for key, columns in names.items():
        for column in columns:
            if (place := table.find(column)) is not None:
                return key, place
    raise CohortError(
        f"{table.name} has no column that tells which image a label is for; its columns are "
        f"{', '.join(table.columns)}. Name one with --path-column, --series-column or --patient-column."
    )


def _lines_by_key(
    table: Table, place: int, label: int, root: Path | None
) -> tuple[dict[str, list[Line]], list[Problem]]:
    """The lines of each value of the joining column; lines without one are problems."""
    lines: dict[str, list[Line]] = {}
    problems = []
    for line in table.lines:
        value = line.cells[place]
        if value:
            lines.setdefault(value if root is None else resolve(value, root), []).append(line)
        else:
            message = f"line {line.number} of {table.name} does not say which image its label is for"
            problems.append(Problem(path=table.name, kind="bad-row", message=message))
    return lines, problems


def _entries(
    file: str, lines: Sequence[Line], columns: Mapping[str, int], name: str, key: str
) -> Iterator[Entry | Problem]:
    """One entry for each line that labels a file; a file without one is a Problem."""
    if not lines:
        message = f"no row of {name} gives its {key} a label"
        yield Problem(path=file, kind="no-label", message=message)
    for line in lines:
        said = {column: line.cells[place] for column, place in columns.items()}
        yield make_entry(file, said, where=f"line {line.number} of {name}")


def _no_file(name: str, line: Line, key: str) -> str:
    return f"line {line.number} of {name} labels a {key} that no file in the folder has"
