from __future__ import annotations

from pathlib import Path

import pytest

from overread.data.table import Table, read_table
from overread.errors import CohortError

WANTED = ("path", "label")


def read(folder: Path, content: str | bytes) -> Table:
    path = folder / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, wanted=WANTED)


def cells(table: Table) -> list[tuple[str, ...]]:
    return [line.cells for line in table.lines]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_people_save_is_read(tmp_path: Path, delimiter: str, end: str, encoding: str) -> None:
    text = end.join(delimiter.join(row) for row in (["path", "label"], ["a.png", "Läsion"], ["b.png", "x"]))
    table = read(tmp_path, text.encode(encoding))
    assert table.columns == ("path", "label")
    assert cells(table) == [("a.png", "Läsion"), ("b.png", "x")]
    assert [line.number for line in table.lines] == [2, 3]


def test_quotes_keep_delimiters_and_blanks_are_cut(tmp_path: Path) -> None:
    assert cells(read(tmp_path, 'path,label\n"a, b.png", x \n')) == [("a, b.png", "x")]


def test_the_delimiter_is_the_one_that_finds_the_columns(tmp_path: Path) -> None:
    assert read(tmp_path, "path;label;a,b,c,d\n1;2;3\n").columns == ("path", "label", "a,b,c,d")
    assert cells(read(tmp_path, "sep=;\npath;label\n1;2\n")) == [("1", "2")]


def test_blank_lines_are_passed_over_and_short_ones_filled(tmp_path: Path) -> None:
    assert cells(read(tmp_path, "path,label\n\n , \na.png\n")) == [("a.png", "")]


def test_a_line_with_too_many_cells_is_a_problem(tmp_path: Path) -> None:
    table = read(tmp_path, "path,label\na.png,x,y\nb.png,x,\n")
    assert cells(table) == [("b.png", "x")]
    assert [(problem.kind, "line 2" in problem.message) for problem in table.problems] == [("bad-row", True)]


def test_columns_are_found_by_exact_name_first_and_then_by_any_case(tmp_path: Path) -> None:
    table = read(tmp_path, "Path,label,LABEL\n")
    assert table.find("path") == 0
    assert table.find("LABEL") == 2
    assert table.find("nothing") is None


def test_a_missing_column_is_answered_with_those_there_are(tmp_path: Path) -> None:
    table = read(tmp_path, "file,class\n")
    with pytest.raises(CohortError, match=r"no column 'path'; its columns are file, class\. .*--path-column"):
        table.need("path", flag="--path-column")
    assert table.want("site", flag="--site-column", default="site") is None
    with pytest.raises(CohortError, match="no column 'hospital'"):
        table.want("hospital", flag="--site-column", default="site")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"path,label,label\n", "names the column 'label' twice"),
        (b"PK\x03\x04xlsx", "not a text file"),
        (b"a\0b", "not a text file"),
        (b"path,label\n" + b"x" * 200_000, "field larger than"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(CohortError, match=found):
        read(tmp_path, content)
