"""A CSV as people write it: comma, semicolon or tab, with or without a byte-order mark, any column names."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from overread.data.rows import Problem
from overread.errors import CohortError

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table: where it stands in the file, and its cells without surrounding blanks."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with named columns; rows with too few cells are filled up with empty ones."""

    name: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...]

    def find(self, column: str) -> int | None:
        """The place of a column, by its exact name or else whatever its case; None where there is none."""
        if column in self.columns:
            return self.columns.index(column)
        folded = [name.casefold() for name in self.columns]
        return folded.index(column.casefold()) if column.casefold() in folded else None

    def need(self, column: str, *, flag: str) -> int:
        """The place of a column that must be there. Raises CohortError that names the columns there are."""
        place = self.find(column)
        if place is None:
            raise CohortError(
                f"{self.name} has no column {column!r}; its columns are {', '.join(self.columns)}. "
                f"Name the right one with {flag}."
            )
        return place

    def want(self, column: str, *, flag: str, default: str) -> int | None:
        """The place of a column that may be absent, unless a person asked for it by name."""
        return self.find(column) if column == default else self.need(column, flag=flag)


def read_table(path: Path, *, wanted: Iterable[str]) -> Table:
    """Read a CSV with a header line.

    The delimiter is the one that yields most of the `wanted` columns. Raises CohortError for a file that is
    no table; a row with too many cells becomes a Problem (bad-row).
    """
    text = _decode(path)
    delimiter = _delimiter(text, {name.casefold() for name in wanted})
    records = _records(text, delimiter, path.name)
    _, header = next(records, (0, []))
    columns = tuple(name.strip() for name in header)
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if not any(columns) or twice:
        found = f"names the column {twice[0]!r} twice" if twice else "is empty"
        raise CohortError(f"{path.name} {found}; expected a first line such as path,label,patient. Mend it.")
    lines, problems = [], []
    for number, cells in records:
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            message = (
                f"line {number} has {len(cells)} cells for {len(columns)} columns; put quotes around a text that "
                "holds the delimiter"
            )
            problems.append(Problem(path=path.name, kind="bad-row", message=message))
            continue
        filled = cells[: len(columns)] + [""] * (len(columns) - len(cells))
        lines.append(Line(number=number, cells=tuple(cell.strip() for cell in filled)))
    return Table(name=path.name, columns=columns, lines=tuple(lines), problems=tuple(problems))


def _decode(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or what Excel writes on western Windows."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CohortError(f"{path.name} cannot be read: {error.strerror}. Check its permissions.") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    if "\0" in text or data.startswith(b"PK\x03\x04"):
        raise CohortError(f"{path.name} is not a text file; expected a CSV. Save the table as CSV first.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimiter(text: str, wanted: set[str]) -> str:
    """Excel's `sep=;` line if there is one, else the delimiter under which the header makes most sense."""
    first = text.lstrip("\n").split("\n", 1)[0]
    if first.startswith("sep=") and len(first) == 5:
        return first[4]

    def fit(delimiter: str) -> tuple[int, int]:
        names = [name.strip().casefold() for name in next(csv.reader([first], delimiter=delimiter), [])]
        return len(wanted.intersection(names)), len(names)

    return max(_DELIMITERS, key=fit)


def _records(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            blank = not any(cell.strip() for cell in cells)
            excel = reader.line_num == 1 and len(cells) <= 2 and cells[:1] == ["sep="]
            if not blank and not excel:
                yield reader.line_num, cells
    except csv.Error as error:
        raise CohortError(f"{name}, line {reader.line_num}: {error}. Mend the line.") from None
