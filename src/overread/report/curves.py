"""Curves: how the training went, and what sensitivity costs in specificity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from overread.evaluate.score import Score
from overread.report.style import (
    BLUE,
    INK,
    LINE,
    ORANGE,
    SOFT,
    counted,
    sheet,
    shorten,
    styled,
    text_width_in,
)
from overread.stats import metrics
from overread.stats.intervals import Measured
from overread.training.history import History

_COLOURS = (
    "#2166AC",
    "#C25E00",
    "#00735C",
    "#8E44AD",
    "#B8860B",
    "#1B9AAA",
    "#A23B72",
    "#5B6770",
    "#6B8E23",
    "#C22F1B",
)
_DASHES = ("-", "--", ":")


@styled
def history_curves(
    history: History, *, select: str = "val_accuracy", marks: Sequence[str] = (), title: str = "How the training went"
) -> Figure:
    """Loss and accuracy by epoch, in training and in validation; a line and a ring mark the best epoch.

    select: the column that the best epoch is chosen by. marks: sentences of warning.
    """
    n, best = len(history), history.best_epoch(select)
    caption = f"{n} epoch{'s' * (n != 1)}; the best by {_in_words(select)} (ring) is kept" if n else "no epoch yet"
    drawn = sheet(8.6, 3.35, title=title, caption=caption, marks=marks)
    for x_in, name in ((0.55, "loss"), (5.0, "accuracy")):
        axes = drawn.axes(x_in, 0.5, 3.6, 2.5)
        _both(axes, history, name)
        if n:
            _mark_best(axes, history, name, best)
        # above the axes: no corner of them is free of curves in every training
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.02, 0.98), ncols=3, fontsize=8, columnspacing=1.0, handlelength=1.6
        )
    return drawn.figure


def _both(axes: Axes, history: History, name: str) -> None:
    """Training (dashed) and validation (solid) of one quantity."""
    epochs = [row.epoch for row in history]
    for part, word, colour, dash in (("train", "training", ORANGE, "--"), ("val", "validation", BLUE, "-")):
        values = [getattr(row, f"{part}_{name}") for row in history]
        dots = "o" if len(epochs) <= 30 else ""
        axes.plot(epochs, values, dash, color=colour, marker=dots, markersize=3.5, linewidth=1.6, label=word)
    axes.set(xlabel="epoch", title=name)
    axes.title.set(ha="left", x=-0.1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, max(len(epochs), 1) + 0.5)
    losses = [loss for row in history for loss in (row.train_loss, row.val_loss) if math.isfinite(loss)]
    axes.set_ylim(0, 1.03 if name == "accuracy" else 1.12 * max([*losses, 1e-6]))
    axes.grid(axis="y", color=LINE, linewidth=0.6, alpha=0.7)
    axes.tick_params(length=0)


def _mark_best(axes: Axes, history: History, name: str, best: int) -> None:
    """A ring on the epoch that is kept; the legend tells its value."""
    value = getattr(history.rows[best - 1], f"val_{name}")
    axes.axvline(best, color=SOFT, linewidth=0.9, linestyle=":", zorder=0)
    said = "unknown" if math.isnan(value) else f"{value:.3f}"
    axes.plot(
        [best], [value], "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.3,
        label=f"epoch {best}: {said}",
    )  # fmt: skip


@styled
def roc_figure(
    truth: ArrayLike,
    probabilities: ArrayLike,
    score: Score,
    *,
    marks: Sequence[str] = (),
    title: str = "Sensitivity against false alarms (ROC)",
) -> Figure:
    """ROC curve of the positive class, or of each of three and more against the rest, with AUROC and interval.

    truth: (n,) int. probabilities: (n, k) float. score: of the same images. marks: sentences of warning.
    A ring on each curve is where the network stands when it names the most probable class.
    """
    t, p = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    names = [score.positive] if score.positive is not None else list(score.classes)
    legends = [_legend(name, _area(score, name)) for name in names]
    width_in = max(text_width_in(line, 9) for line in legends) + 0.6
    height_in = max(4.9, 0.225 * len(names) + 0.6)
    caption = counted(score.n_images, score.n_patients, part=score.part) + "; ring: the network's own answers"
    drawn = sheet(5.0 + width_in, height_in, title=title, caption=caption, marks=marks)
    axes = drawn.axes(0.6, height_in - 4.4, 4.2, 4.2)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, zorder=0)
    for i, (name, legend) in enumerate(zip(names, legends, strict=True)):
        c = score.classes.index(name)
        extra = max(0, min(len(names), 4) - 1 - i)  # wider below: curves that coincide are all seen
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS) % len(_DASHES)]
        alarms, found = metrics.roc_curve(t == c, p[:, c])
        axes.plot(alarms, found, dash, color=colour, linewidth=1.8 + 1.1 * extra, label=legend)
        here = 1 - score.figure("specificity", name).value, score.figure("sensitivity", name).value
        axes.plot(*here, "o", markersize=7, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.6)
    _finish_roc(axes)
    return drawn.figure


def _finish_roc(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="false alarms (1 \N{MINUS SIGN} specificity)", ylabel="found (sensitivity)")
    axes.grid(color=LINE, linewidth=0.6, alpha=0.7)
    axes.tick_params(length=0)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, fontsize=9, labelspacing=0.7,
        title="AUROC (95 % interval)", alignment="left", title_fontproperties={"weight": "bold", "size": 9},
    )  # fmt: skip


def _area(score: Score, name: str) -> Measured:
    return score.figure("auroc") if score.positive is not None else score.figure("auroc", name)


def _legend(name: str, area: Measured) -> str:
    words = "no image to measure it on" if math.isnan(area.value) else str(area)
    return f"{shorten(name, 1.9, 9)}: {words}"


def _in_words(metric: str) -> str:
    return metric.replace("val_", "validation ").replace("auroc", "AUROC")
