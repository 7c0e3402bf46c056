"""A page as a tree of its elements, and what its cells show."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

VOID = ("meta", "img", "br", "link", "hr", "input")


class Node:
    """An element of a page, with what stands in it."""

    def __init__(self, tag: str, attrs: dict[str, str], parent: Node | None) -> None:
        self.tag, self.attrs, self.parent = tag, attrs, parent
        self.children: list[Node | str] = []

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str | None = None, *, kind: str | None = None) -> Iterator[Node]:
        """Every element below, of this tag and of this class, in the order of the page."""
        for child in self.children:
            if isinstance(child, Node):
                if tag in (None, child.tag) and (kind is None or kind in child.attrs.get("class", "").split()):
                    yield child
                yield from child.all(tag, kind=kind)

    def above(self, tag: str) -> Node | None:
        """The nearest element of this tag that holds it."""
        node = self.parent
        while node is not None and node.tag != tag:
            node = node.parent
        return node


class Reader(HTMLParser):
    """Builds the tree of a page, and refuses elements that are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.root = Node("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        node = Node(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.children.append(node)
        if tag not in VOID:
            self.open = node

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.tag, f"</{tag}> closes <{self.open.tag}>, line {self.getpos()[0]}"
        assert self.open.parent is not None
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.children.append(data)


def parse_page(text: str) -> Node:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open is reader.root, f"<{reader.open.tag}> is not closed"
    return reader.root


def same(text: str, value: float) -> None:
    """A number as it is shown is this value, rounded."""
    digits = len(text.partition(".")[2])
    assert abs(float(text) - value) <= 0.5 * 10**-digits + 1e-9, f"{text} is not {value}"


def same_figure(cell, value: float, ends: tuple[float, float] | None = None) -> None:
    """A cell shows this value, in its text and in its data, and in the next cell or in its own this interval."""
    (shown,) = cell.all("span", kind="figure")
    assert float(shown.attrs["data-value"]) == pytest.approx(value, rel=1e-7, abs=1e-9)
    same(shown.text, value)
    if ends is not None:
        row = cell.above("tr")
        here = list(cell.all("span", kind="interval")) or list(row.all("span", kind="interval"))[:1]
        same_interval(here[0], ends)


def same_interval(shown, ends: tuple[float, float]) -> None:
    data = [float(shown.attrs[name]) for name in ("data-low", "data-high")]
    assert data == pytest.approx(ends, rel=1e-7, abs=1e-9)
    for text, end in zip(shown.text.split(" to "), ends, strict=True):
        same(text, end)


def figure_rows(table):
    """The cells of each row, and the name and the class of the figure in it."""
    for row in table.all("tr"):
        for shown in row.all("span", kind="figure"):
            yield [*row.all("td")], shown.attrs["data-figure"], shown.attrs["data-class"] or None


def assert_counted(cells, rows) -> None:
    """The last two cells are the images and the patients."""
    assert [cell.text for cell in cells[-2:]] == [str(len(rows)), rows.n_patients()]
