"""Small charts for a page: ROC, calibration, risk and coverage, net benefit, training; SVG that follows its theme."""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from overread.evaluate.calibration import Calibration
from overread.evaluate.operating import Operating
from overread.evaluate.predictions import Predictions
from overread.explain.space import Space
from overread.report.style import shorten, styled
from overread.stats import metrics
from overread.stats.intervals import Measured
from overread.stats.selective import RiskCoverage
from overread.training.history import History

# stand-ins, which become variables of the style sheet: a chart is dark on light paper and light on a dark screen
_INK, _LINE = "#010203", "#030201"
_THEME = {_INK: "var(--ink)", _LINE: "var(--line)"}
_PRINT = {_INK: "#1f2933", _LINE: "#9aa5b1"}
_STYLE = (
    "<style>svg{--ink:#1f2933;--line:#9aa5b1}"
    "@media (prefers-color-scheme:dark){svg{--ink:#e4e7eb;--line:#7b8794}}</style>"
)
_COLOURS = ("#2f80c9", "#d9730d", "#17917a", "#a45bc4", "#b8901a", "#1b9aaa", "#c0558a", "#7b8794")
_SIZE_IN = (4.0, 3.3)
_LEGEND_COLUMNS, _LEGEND_PT = 3, 8.5
_MOST_DOTS = 1000
"""more could not be told apart, and each takes 400 bytes of a picture: 15,000 images would make a page of 13 MB"""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture: SVG text, and what it shows for those who do not see it."""

    svg: str
    alt: str
    caption: str

    def for_print(self) -> str:
        """The SVG in fixed colours, for paper."""
        text = self.svg
        for variable, colour in ((_THEME[key], _PRINT[key]) for key in _THEME):
            text = text.replace(variable, colour)
        return text.replace(_STYLE, "")


@styled
def roc_chart(found: Predictions, labels: Sequence[str], areas: dict[str, str]) -> Chart:
    """Sensitivity against false alarms of each class; areas: the AUROC of each in words."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1, linestyle=":")
        for i, label in enumerate(labels):
            code = found.classes.index(label)
            alarms, hits = metrics.roc_curve(found.truth == code, found.probabilities[:, code])
            axes.plot(alarms, hits, color=_colour(i), linewidth=1.8, label=_in_legend(label, len(labels)))
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set(xlabel="false alarms (1 \N{MINUS SIGN} specificity)", ylabel="found (sensitivity)")

    words = "; ".join(f"{label} {areas[label]}" for label in labels)
    return _chart(draw, alt=f"ROC curves. AUROC: {words}.", caption="Found against false alarms (ROC)", legend=labels)


@styled
def calibration_chart(calibration: Calibration) -> Chart:
    """Share observed against probability predicted, with intervals by patient; the dotted line is perfect."""
    shown = calibration.by_class

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1, linestyle=":")
        for i, one in enumerate(shown):
            x = np.array([b.predicted for b in one.bins])
            y = np.array([b.observed.value for b in one.bins])
            ends = np.array(
                [[b.observed.value - b.observed.low, b.observed.high - b.observed.value] for b in one.bins]
            )
            axes.errorbar(
                x, y, yerr=np.maximum(ends.T, 0), color=_colour(i), linewidth=1.4, elinewidth=0.8, marker="o",
                markersize=3.5, label=_in_legend(one.label, len(shown)),
            )  # fmt: skip
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability predicted", ylabel="share observed")

    points = "; ".join(f"{one.label} off by {one.error.value:.2f} on average" for one in shown)
    return _chart(
        draw,
        alt=f"Calibration: {points}.",
        caption="Predicted probability against what was observed (bars: 95 % intervals)",
        legend=[one.label for one in shown],
    )


@styled
def risk_chart(risk: RiskCoverage) -> Chart:
    """Share of errors among the surest images, as ever more are answered."""

    def draw(axes: Axes) -> None:
        axes.plot(risk.coverage, risk.risk, color=_colour(0), linewidth=1.8)
        axes.set(xlim=(0, 1.02), ylim=(-0.02, max(0.1, 1.1 * float(risk.risk.max()))))
        axes.set(xlabel="share of the images answered, surest first", ylabel="share of these that is wrong")

    alt = f"Errors: {risk.risk[-1]:.2f} when all images are answered, {_at(risk, 0.5):.2f} for the surer half."
    return _chart(draw, alt=alt, caption="Errors left when the least sure images go to a human")


def _at(risk: RiskCoverage, share: float) -> float:
    return float(risk.risk[min(int(np.searchsorted(risk.coverage, share)), risk.risk.size - 1)])


@styled
def decision_chart(operating: Sequence[Operating]) -> Chart:
    """Net benefit against the probability from which one would act; broken line: acting on everybody."""

    def draw(axes: Axes) -> None:
        top = 0.05
        for i, one in enumerate(operating):
            curve = one.decision
            label = _in_legend(one.label, len(operating))
            axes.plot(curve.thresholds, curve.model, color=_colour(i), linewidth=1.8, label=label)
            axes.plot(curve.thresholds, curve.everyone, color=_colour(i), linewidth=1, linestyle="--")
            top = max(top, curve.prevalence)
        axes.axhline(0, color=_LINE, linewidth=1, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.15 * top))
        axes.set(xlabel="probability from which one would act", ylabel="net benefit")

    return _chart(
        draw,
        alt="Decision curves: net benefit of the model for each class, beside acting on everybody and on nobody.",
        caption="Net benefit (broken: act on everybody; dotted: on nobody)",
        legend=[one.label for one in operating],
    )


@styled
def history_chart(history: History, best: int) -> Chart:
    """Loss in training and validation, epoch by epoch."""
    rows = list(history)

    def draw(axes: Axes) -> None:
        epochs = [row.epoch for row in rows]
        axes.plot(epochs, [row.train_loss for row in rows], "--", color=_colour(1), linewidth=1.5, label="training")
        axes.plot(epochs, [row.val_loss for row in rows], color=_colour(0), linewidth=1.8, label="validation")
        axes.axvline(best, color=_LINE, linewidth=1, linestyle=":")
        axes.set(xlabel="epoch", ylabel="loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

    kept = rows[best - 1]
    alt = f"Loss over {len(rows)} epochs; the best is epoch {best}, validation loss {kept.val_loss:.3f}."
    return _chart(draw, alt=alt, caption="Loss by epoch (dotted: the epoch kept)", legend=("training", "validation"))


@styled
def space_chart(space: Space, fact: str) -> Chart:
    """The features laid flat, a dot an image; the values of one fact with most images have a colour each.

    Of many images an even choice is drawn, so that the page stays small.
    """
    counts = Counter(value for value in space.values[fact] if value)
    named = [value for value, _ in counts.most_common(len(_COLOURS) - 1)]
    n = len(space.plane)
    drawn = np.linspace(0, n - 1, min(n, _MOST_DOTS)).round().astype(int)
    values, plane = np.array(space.values[fact], dtype=object)[drawn], space.plane[drawn]
    some = f" ({len(drawn):,} of {n:,} images)" if len(drawn) < n else ""

    def draw(axes: Axes) -> None:
        rest = ~np.isin(values, named)
        axes.plot(*plane[rest].T, "o", color=_LINE, markersize=3, alpha=0.6)
        for i, name in enumerate(named):
            label = _in_legend(name, len(named))
            axes.plot(*plane[values == name].T, "o", color=_colour(i), markersize=4, alpha=0.75, label=label)
        axes.set(xticks=[], yticks=[], xlabel=_axis(space, 0), ylabel=_axis(space, 1))

    return _chart(
        draw,
        alt=f"Features of {n} images in a plane, coloured by {fact}: {', '.join(named)}.",
        caption=f"What the network sees of the images, by {fact}{some}",
        legend=named,
    )


def _axis(space: Space, at: int) -> str:
    share = space.shares[at]
    words = ("first", "second")[at]
    return f"{words} direction" + ("" if np.isnan(share) else f" ({share:.0%} of the variance)")


@styled
def arms_chart(arms: Sequence[tuple[str, Measured]], *, chance: float) -> Chart:
    """The AUROC of several trainings, one below the other, with intervals; the dotted line is chance."""
    return _dots(arms, label="AUROC", chance=chance, caption="AUROC with 95 % interval (dotted: chance)")


@styled
def networks_chart(networks: Sequence[tuple[str, Measured]]) -> Chart:
    """The accuracy of several networks, one below the other, with intervals."""
    return _dots(networks, label="accuracy", chance=None, caption="Accuracy with 95 % interval")


def _dots(rows: Sequence[tuple[str, Measured]], *, label: str, chance: float | None, caption: str) -> Chart:
    def draw(axes: Axes) -> None:
        if chance is not None:
            axes.axvline(chance, color=_LINE, linewidth=1, linestyle=":")
        for i, (_, one) in enumerate(rows):
            axes.plot([one.low, one.high], [i, i], color=_colour(0), linewidth=2.5, alpha=0.5)
            axes.plot([one.value], [i], "o", color=_colour(0), markersize=6)
        axes.set_yticks(range(len(rows)), [_wrapped(name) for name, _ in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.02), xlabel=label)

    words = "; ".join(f"{name} {one}" for name, one in rows)
    return _chart(draw, alt=f"{label[0].upper()}{label[1:]}: {words}.", caption=caption)


@styled
def learning_chart(points: Sequence[tuple[int, Measured]], *, chance: float) -> Chart:
    """The AUROC on one test part, by the number of patients that were learnt from; the dotted line is chance."""

    def draw(axes: Axes) -> None:
        x, y = [n for n, _ in points], np.array([one.value for _, one in points])
        ends = np.array([[one.value - one.low, one.high - one.value] for _, one in points])
        axes.axhline(chance, color=_LINE, linewidth=1, linestyle=":")
        axes.errorbar(x, y, yerr=np.nan_to_num(ends.T), color=_colour(0), linewidth=1.8, elinewidth=1, marker="o")
        axes.set(
            xlim=(0, 1.08 * max(x)), ylim=(min(0.4, float(np.nanmin(y - np.nan_to_num(ends[:, 0]))) - 0.02), 1.02)
        )
        axes.set(xlabel="patients learnt from", ylabel="AUROC")

    words = "; ".join(f"{n} patients {one}" for n, one in points)
    return _chart(
        draw, alt=f"Learning curve: {words}.", caption="Learning curve, with 95 % intervals (dotted: chance)"
    )


def _wrapped(name: str) -> str:
    """A name in lines that leave room for the chart."""
    return "\n".join(line for part in name.replace(", ", ",\n").split("\n") for line in textwrap.wrap(part, 24)[:3])


def _in_legend(name: str, n: int) -> str:
    """The name of one of n classes, so short that the legend stays in the picture."""
    room_in = _SIZE_IN[0] / min(_LEGEND_COLUMNS, n) - 0.5  # less the line beside it
    shown = shorten(name, room_in, _LEGEND_PT)
    return f" {shown}" if shown.startswith("_") else shown  # matplotlib leaves out what begins with that


def _colour(i: int) -> str:
    return _COLOURS[i % len(_COLOURS)]


def _chart(draw: Callable[[Axes], None], *, alt: str, caption: str, legend: Sequence[str] = ()) -> Chart:
    colours = {"text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}
    with mpl.rc_context({**colours, "axes.edgecolor": _LINE, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.grid(color=_LINE, linewidth=0.4, alpha=0.4)
        axes.tick_params(length=0)
        if len(legend) > 1:
            figure.legend(
                loc="outside upper left", ncols=min(_LEGEND_COLUMNS, len(legend)), frameon=False, fontsize=_LEGEND_PT
            )
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for stand_in, variable in _THEME.items():
        svg = svg.replace(stand_in, variable)
    head, closing, body = svg.partition(">")
    return Chart(svg=f"{head}{closing}{_STYLE}{body}", alt=alt, caption=caption)
