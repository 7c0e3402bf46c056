"""The confusion table as a picture: what each class was taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from overread.evaluate.score import Score
from overread.report.style import INK, SOFT, counted, sheet, shorten, styled, text_width_in
from overread.stats.metrics import Floats

_BLUES = LinearSegmentedColormap.from_list("overread", ["#F7FAFC", "#9CC3E6", "#2166AC", "#0B3C6F"])
_NAME_IN = 1.7


@styled
def confusion_figure(
    score: Score, *, marks: Sequence[str] = (), title: str = "What each class was taken for"
) -> Figure:
    """Images by true class (row) and predicted class (column): number, and percent of the row.

    score: its confusion table is drawn. marks: sentences of warning. A row without images is left blank.
    """
    counts = np.array(score.confusion, np.float64)
    totals = counts.sum(1)
    shares = np.divide(counts, totals[:, None], out=np.zeros_like(counts), where=totals[:, None] > 0)
    k = len(counts)
    cell_in, size_pt = _cell(k)
    rows = [f"{shorten(n, _NAME_IN, 9)}  (n = {total:.0f})" for n, total in zip(score.classes, totals, strict=True)]
    columns = [shorten(name, _NAME_IN, 9) for name in score.classes]
    left_in = max(text_width_in(row, 9) for row in rows) + 0.45
    turned = max(text_width_in(column, 9) for column in columns) > cell_in - 0.06
    top_in = 0.4 + (0.72 * max(text_width_in(column, 9) for column in columns) if turned else 0.2)
    spill_in = top_in - 0.4 if turned else 0.0  # slanted names reach past the last column
    caption = counted(score.n_images, score.n_patients, part=score.part) + "; percent of each row"
    drawn = sheet(left_in + k * cell_in + spill_in, top_in + k * cell_in, title=title, caption=caption, marks=marks)
    axes = drawn.axes(left_in, 0, k * cell_in, k * cell_in)
    axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, counts, shares, size_pt=size_pt)
    _write_names(axes, rows, columns, turned=turned)
    offset_pt = 72 * (top_in - 0.16), -72 * (left_in - 0.12)
    axes.annotate("predicted", (0, 1), (0, offset_pt[0]), xycoords="axes fraction", textcoords="offset points",
                  va="center", color=SOFT, fontweight="bold")  # fmt: skip
    axes.annotate("true", (0, 0.5), (offset_pt[1], 0), xycoords="axes fraction", textcoords="offset points",
                  va="center", ha="center", rotation=90, color=SOFT, fontweight="bold")  # fmt: skip
    return drawn.figure


def _cell(k: int) -> tuple[float, float]:
    """Side of a cell in inches and size of its words in points, for k classes."""
    if k <= 5:
        return 1.0, 11.0
    return (0.66, 8.0) if k <= 10 else (0.46, 6.0)


def _write_cells(axes: Axes, counts: Floats, shares: Floats, *, size_pt: float) -> None:
    for (i, j), count in np.ndenumerate(counts):
        if not counts[i].any():
            continue
        colour = "white" if shares[i, j] > 0.5 else (INK if count else SOFT)
        weight = "bold" if i == j else "normal"
        words = f"{count:.0f}\n{100 * shares[i, j]:.0f} %" if count else "0"
        axes.text(j, i, words, ha="center", va="center", fontsize=size_pt, color=colour, fontweight=weight)


def _write_names(axes: Axes, rows: list[str], columns: list[str], *, turned: bool) -> None:
    places = range(len(rows))
    axes.set_yticks(places, rows, color=INK)
    axes.set_xticks(places, columns, color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, labelsize=9)
    if turned:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="left", rotation_mode="anchor")
    axes.set_xticks([p - 0.5 for p in range(len(rows) + 1)], minor=True)
    axes.set_yticks([p - 0.5 for p in range(len(rows) + 1)], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
