"""Images of a part in rows: what the classes look like, and which ones the network got right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from overread.report.style import (
    CROSS,
    INK,
    LINE,
    RIGHT,
    TICK,
    WRONG,
    Sheet,
    sheet,
    shorten,
    styled,
    text_width_in,
)

_SIZE_PT, _LINE_IN, _GAP_IN = 8.5, 0.17, 0.16
_NARROW_IN, _WIDE_IN, _ROW_IN = 1.7, 2.5, 10.6


def choose(n: int, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`limit` of n places at random, ascending; all of them where there are no more."""
    return np.sort(rng.permutation(n)[:limit])


@styled
def sample_figure(
    images: NDArray[np.uint8],
    labels: Sequence[str],
    *,
    caption: str = "",
    marks: Sequence[str] = (),
    title: str = "What the network is asked about",
) -> Figure:
    """Images with their true class above each.

    images: (n, h, w, 3) uint8, as many as are to be shown. labels: (n,) names of classes. caption: what they
    were taken from (`style.counted`). marks: sentences of warning.
    """
    drawn, places, width_in = _places(len(images), list(labels), title, caption, marks, n_lines=1)
    for image, label, (x, y) in zip(images, labels, places, strict=True):
        axes = _picture(drawn, image, x, y, width_in)
        _line(axes, 0, shorten(label, width_in, _SIZE_PT), INK)
    return drawn.figure


@styled
def prediction_grid(
    images: NDArray[np.uint8],
    truth: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    *,
    caption: str = "",
    marks: Sequence[str] = (),
    title: str = "What the network says",
) -> Figure:
    """Images with true and predicted class: green with a tick, or red with a cross and a thick frame.

    images: (n, h, w, 3) uint8. truth, predicted: (n,) int, indices into classes. probabilities: (n, k) float;
    that of the predicted class is shown.
    """
    said = np.asarray(predicted, np.int64)
    true_names, said_names = [classes[i] for i in np.asarray(truth, np.int64)], [classes[i] for i in said]
    percents = [f"{100 * p:.0f} %" for p in np.asarray(probabilities)[np.arange(len(said)), said]]
    one_line = [f"{TICK} predicted: {name}, {percent}" for name, percent in zip(said_names, percents, strict=True)]
    is_long = any(text_width_in(line, _SIZE_PT, bold=True) > 0.96 * _WIDE_IN for line in one_line)
    labels = [*(said_names if is_long else one_line), *(f"true: {name}" for name in true_names)]
    drawn, places, width_in = _places(len(images), labels, title, caption, marks, n_lines=3 if is_long else 2)
    for i, (x, y) in enumerate(places):
        right = true_names[i] == said_names[i]
        colour, sign = (RIGHT, TICK) if right else (WRONG, CROSS)
        axes = _picture(drawn, images[i], x, y, width_in, edge=colour, thickness=1.2 if right else 3.0)
        lines = [f"{sign} predicted: {said_names[i]}, {percents[i]}"]
        if is_long:
            lines = [f"{sign} predicted, {percents[i]}:", said_names[i]]
        for number, line in enumerate(reversed(lines)):
            _line(axes, number, shorten(line, width_in, _SIZE_PT, bold=True), colour, bold=True)
        _line(axes, len(lines), shorten(f"true: {true_names[i]}", width_in, _SIZE_PT), INK)
    return drawn.figure


def _places(
    n: int, labels: list[str], title: str, caption: str, marks: Sequence[str], *, n_lines: int
) -> tuple[Sheet, list[tuple[float, float]], float]:
    """A sheet for n pictures, the lower left corner of each (inches), and the width of one."""
    widest = max((text_width_in(label, _SIZE_PT, bold=n_lines > 1) for label in labels), default=0)
    width_in = min(max(_NARROW_IN, widest / 0.96), _WIDE_IN)
    n_columns = max(1, min(n, 5, int((_ROW_IN + _GAP_IN) / (width_in + _GAP_IN))))
    n_rows = -(-n // n_columns)
    cell_in = width_in + n_lines * _LINE_IN + 0.06 + _GAP_IN
    drawn = sheet(
        n_columns * (width_in + _GAP_IN) - _GAP_IN,
        n_rows * cell_in,
        title=title,
        caption=caption,
        marks=marks,
    )
    places = [
        ((i % n_columns) * (width_in + _GAP_IN), (n_rows - 1 - i // n_columns) * cell_in + _GAP_IN / 2)
        for i in range(n)
    ]
    return drawn, places, width_in


def _picture(
    drawn: Sheet,
    image: NDArray[np.uint8],
    x_in: float,
    y_in: float,
    width_in: float,
    *,
    edge: str = LINE,
    thickness: float = 0.8,
) -> Axes:
    axes = drawn.axes(x_in, y_in, width_in, width_in)
    axes.imshow(image, aspect="auto" if image.shape[0] == image.shape[1] else "equal", interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=edge, linewidth=thickness)
    return axes


def _line(axes: Axes, number: int, text: str, colour: str, *, bold: bool = False) -> None:
    """A line of the title, counted upwards from the picture."""
    axes.annotate(
        text, (0, 1), (0, 4 + number * _LINE_IN * 72), xycoords="axes fraction", textcoords="offset points",
        fontsize=_SIZE_PT, fontweight="bold" if bold else "normal", color=colour, va="bottom", ha="left",
    )  # fmt: skip
