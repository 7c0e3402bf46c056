"""The lines of a chart as they are drawn: read from its SVG in the units of its axes."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree import ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"


class Drawn:
    """What stands in the axes of one chart: lines and dashed lines, (n, 2) each, and dots, by colour; the legend."""

    def __init__(self, svg: str) -> None:
        whole = ElementTree.fromstring(svg)
        (axes,) = (group for group in whole.iter(f"{SVG}g") if group.get("id") == "axes_1")
        ticks = [[g for g in axes.iter(f"{SVG}g") if g.get("id", "").startswith(f"{xy}tick_")] for xy in "xy"]
        self.to_data = [np.polynomial.Polynomial.fit(*_scale(groups, i), 1) for i, groups in enumerate(ticks)]
        on_axes = {path for groups in ticks for group in groups for path in group.iter(f"{SVG}path")}
        marks = {path for defs in axes.iter(f"{SVG}defs") for path in defs.iter(f"{SVG}path")}
        self.lines, self.dashed = defaultdict(list), defaultdict(list)
        for path in axes.iter(f"{SVG}path"):
            style = path.get("style", "")
            if path in on_axes or path in marks or not (colour := re.search(r"stroke: (#\w{6})", style)):
                continue
            kept = self.dashed if "dasharray" in style else self.lines
            kept[colour[1]].append(self._in_data(_corners(path.get("d", ""))))
        self.dots = defaultdict(list)
        for use in axes.iter(f"{SVG}use"):
            if colour := re.search(r"fill: (#\w{6})", use.get("style", "")):
                self.dots[colour[1]].append((float(use.get("x", "")), float(use.get("y", ""))))
        self.dots = {colour: self._in_data(np.array(found)) for colour, found in self.dots.items()}

        legends = (group for group in whole.iter(f"{SVG}g") if group.get("id") == "legend_1")
        self.legend = ["".join(text.itertext()) for group in legends for text in group.iter(f"{SVG}text")]

    def _in_data(self, corners: np.ndarray) -> np.ndarray:
        return np.stack([self.to_data[i](corners[:, i]) for i in (0, 1)], axis=1)


def _corners(path: str) -> np.ndarray:
    return np.array([[float(x), float(y)] for x, y in re.findall(r"[ML] (\S+) (\S+)", path)])


def _scale(groups: list[ElementTree.Element], axis: int) -> tuple[list[float], list[float]]:
    """Where the lines of the grid stand, and what is written beside them."""
    at = [_corners(next(group.iter(f"{SVG}path")).get("d", ""))[0, axis] for group in groups]
    words = ["".join(next(group.iter(f"{SVG}text")).itertext()) for group in groups]
    return at, [float(word.replace("\N{MINUS SIGN}", "-")) for word in words]


def assert_same_line(drawn: np.ndarray, again: np.ndarray, *, within: float = 0.004) -> None:
    """Two lines (n, 2) run together, wherever their corners are."""
    for one, other in ((drawn, again), (again, drawn)):
        assert max(_distance(corner, other) for corner in one) <= within


def _distance(point: np.ndarray, line: np.ndarray) -> float:
    start, along = line[:-1], np.diff(line, axis=0)
    length = np.maximum((along**2).sum(axis=1), 1e-30)
    share = np.clip(((point - start) * along).sum(axis=1) / length, 0, 1)
    return float(np.sqrt((((start + share[:, None] * along) - point) ** 2).sum(axis=1)).min())
