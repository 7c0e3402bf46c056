from __future__ import annotations

import re
from html.parser import HTMLParser

from overread.report.checklist import fill_in
from overread.report.checklist_page import counts, to_html, to_markdown

AWKWARD = ("<b>aneurysm</b> | old", "tumor*")


class Cells(HTMLParser):
    """The text of every cell of every row, and every tag that was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_every_row_of_the_markdown_has_four_cells(model_folder) -> None:
    text = to_markdown(fill_in(model_folder(classes=AWKWARD)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len([line for line in lines if not line.startswith(("| No.", "|---", "| | "))]) == 44 + 52
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert r"\<b>aneurysm\</b> \| old" in text
    assert "<b>" not in re.sub(r"\\<", "", text)


def test_the_page_has_the_same_rows_and_escapes_what_it_is_given(model_folder) -> None:
    found = Cells(to_html(fill_in(model_folder(classes=AWKWARD))))
    items = [row for row in found.rows if len(row) == 4 and row[0] != "No."]
    assert len(items) == 44 + 52
    assert any("<b>aneurysm</b> | old" in row[2] for row in items)
    assert found.open.count("b") > 0
    assert "script" not in found.open


def test_the_page_needs_nothing_from_elsewhere(model_folder) -> None:
    text = to_html(fill_in(model_folder()))
    assert re.findall(r"""(?:src|url\()\W*[^"')]+""", text) == []
    assert set(re.findall(r'href="([^"]+)"', text)) == {
        "https://doi.org/10.1148/ryai.240300",
        "https://doi.org/10.1136/bmj-2023-078378",
    }


def test_what_is_for_a_person_is_said_so(model_folder) -> None:
    text = to_markdown(fill_in(model_folder()))
    (ethics,) = (line for line in text.splitlines() if line.startswith("| 17 | **Ethical"))
    assert ethics.endswith("| **For you to fill in.** | |")
    (kind,) = (line for line in text.splitlines() if line.startswith("| 1 | **Kind of AI"))
    assert "<br>**For you:** Say it in your title or abstract." in kind


def test_the_counts_are_a_sentence(model_folder) -> None:
    (claim,) = fill_in(model_folder(), "claim").lists
    answered, partly, yours = (claim.count(status) for status in ("answered", "partly", "yours"))
    assert counts(claim) == f"CLAIM 2024: of 44 items {answered} are answered, {partly} partly, {yours} are yours"
