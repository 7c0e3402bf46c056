"""What stands in a chart, read from its lines and held against answers worked out by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from tests.report.drawn import Drawn, assert_same_line

from overread.evaluate.calibration import calibrated
from overread.evaluate.operating import operate
from overread.evaluate.predictions import Predictions
from overread.explain.space import space_of
from overread.report import charts
from overread.report.style import text_width_in
from overread.stats.intervals import Measured
from overread.stats.selective import risk_coverage
from overread.training.history import History

BLUE, ORANGE = "#2f80c9", "#d9730d"


def said(tumor: list[float], truth: list[int], part: str = "test") -> Predictions:
    n, p = len(tumor), np.array(tumor)
    return Predictions(
        paths=tuple(f"{i}.png" for i in range(n)), frames=(0,) * n, patients=tuple(f"p{i}" for i in range(n)),
        truth=np.array(truth), probabilities=np.c_[1 - p, p], parts=(part,) * n, classes=("normal", "tumor"),
    )  # fmt: skip


def figure(value: float, low: float, high: float) -> Measured:
    return Measured(name="auroc", value=value, low=low, high=high, n_images=9, n_patients=9, method="m")


def test_a_roc_curve_climbs_with_hits_and_goes_right_with_false_alarms() -> None:
    chart = charts.roc_chart(said([0.9, 0.8, 0.7, 0.3], [1, 0, 1, 0]), ["tumor"], {"tumor": "0.750 (0.1 to 0.9)"})
    (line,) = Drawn(chart.svg).lines[BLUE]
    assert_same_line(line, np.array([[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]))
    assert chart.alt == "ROC curves. AUROC: tumor 0.750 (0.1 to 0.9)."


def test_errors_are_drawn_from_the_surest_image_on() -> None:
    chart = charts.risk_chart(risk_coverage([False, False, True, True], [0.9, 0.8, 0.7, 0.6]))
    (line,) = Drawn(chart.svg).lines[BLUE]
    assert_same_line(line, np.array([[0.25, 0], [0.5, 0], [0.75, 1 / 3], [1, 0.5]]))
    assert chart.alt == "Errors: 0.50 when all images are answered, 0.00 for the surer half."


def test_calibration_has_a_dot_a_bin_and_its_interval() -> None:
    p = [0.1] * 10 + [0.3] * 10 + [0.7] * 10 + [0.9] * 10
    truth = [0] * 9 + [1] + [0] * 6 + [1] * 4 + [0] * 3 + [1] * 7 + [1] * 10
    found = calibrated(said(p, truth), labels=["tumor"], temperature=1.0, why="none", rng=np.random.default_rng(0))
    drawn = Drawn(charts.calibration_chart(found).svg)
    assert drawn.dots[BLUE] == pytest.approx(np.array([[0.1, 0.1], [0.3, 0.4], [0.7, 0.7], [0.9, 1.0]]), abs=1e-3)
    bars = [
        line for line in drawn.lines[BLUE] if len(line) == 2 and line[0, 0] == pytest.approx(line[1, 0], abs=1e-6)
    ]
    z2, n = 1.959964**2, 10  # Wilson's interval of 10 of 10
    assert sorted(bars[-1][:, 1]) == pytest.approx([1 / (1 + z2 / n), 1.0], abs=1e-3)


def test_net_benefit_takes_the_price_of_false_alarms_off() -> None:
    tested = said([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0])
    chart = charts.decision_chart(operate(said([0.9, 0.1], [1, 0], "val"), tested, labels=["tumor"], part="test"))
    drawn = Drawn(chart.svg)
    (model,) = drawn.lines[BLUE]
    at = {round(x, 2): y for x, y in model}
    # from 0.5 on two are called, one rightly, at a price of 1; from 0.25 on three, at a price of a third
    assert at[0.5] == pytest.approx(1 / 4 - 1 / 4, abs=2e-3)
    assert at[0.25] == pytest.approx(2 / 4 - 1 / 4 / 3, abs=2e-3)
    assert at[0.75] == pytest.approx(1 / 4, abs=2e-3)
    (everyone,) = drawn.dashed[BLUE]
    assert np.interp(0.2, *everyone.T) == pytest.approx(0.5 - 0.5 / 4, abs=5e-3)


def test_the_loss_of_both_parts_is_drawn_by_epoch_and_the_kept_epoch_is_told() -> None:
    history = History()
    rows = [(1, 1.0, 0.9), (2, 0.6, 0.7), (3, 0.3, 0.8)]
    for number, train_loss, val_loss in rows:
        history.add(epoch=number, train_loss=train_loss, train_accuracy=0.5, val_loss=val_loss, val_accuracy=0.5)
    chart = charts.history_chart(history, 2)
    drawn = Drawn(chart.svg)
    (val,), (train,) = drawn.lines[BLUE], drawn.dashed[ORANGE]
    assert val == pytest.approx(np.array([[e, v] for e, _, v in rows]), abs=2e-3)
    assert train == pytest.approx(np.array([[e, t] for e, t, _ in rows]), abs=2e-3)
    assert chart.alt == "Loss over 3 epochs; the best is epoch 2, validation loss 0.700."


def test_several_trainings_stand_below_each_other_with_their_intervals() -> None:
    arms = [("as it is", figure(0.9, 0.8, 0.95)), ("shuffled labels", figure(0.5, 0.4, 0.6))]
    chart = charts.arms_chart(arms, chance=0.5)
    assert chart.alt == "AUROC: as it is 0.900 (0.800 to 0.950); shuffled labels 0.500 (0.400 to 0.600)."
    alone = charts.networks_chart([("one network", figure(0.9, math.nan, math.nan))])
    assert alone.alt == "Accuracy: one network 0.900 (no interval)."


def test_a_learning_curve_goes_by_patients_and_bears_a_point_without_interval() -> None:
    points = [(10, figure(0.6, 0.5, 0.7)), (40, figure(0.8, math.nan, math.nan))]
    drawn = Drawn(charts.learning_chart(points, chance=0.5).svg)
    assert drawn.dots[BLUE] == pytest.approx(np.array([[10, 0.6], [40, 0.8]]), abs=2e-2)


@pytest.mark.parametrize("name", ["<b>&\"'", "$\\frac{1}{0}$", "\N{PILE OF POO}", "_hidden", "x" * 200])
def test_names_may_hold_anything_and_the_picture_stays_whole(name: str) -> None:
    found = said([0.9, 0.8, 0.7, 0.3], [1, 0, 1, 0])
    object.__setattr__(found, "classes", ("normal", name))
    chart = charts.roc_chart(found, ["normal", name], {"normal": "0.7", name: "0.7"})
    drawn = Drawn(chart.svg)  # parsed as XML, which the name could have broken
    assert len(drawn.lines[BLUE]) == len(drawn.lines[ORANGE]) == 1
    assert name in chart.alt
    assert drawn.legend[0] == "normal"
    assert drawn.legend[1].strip().startswith(name[:4])
    assert max(text_width_in(word, 9) for word in drawn.legend) < 1.6


def test_colours_follow_the_theme_and_on_paper_are_fixed() -> None:
    chart = charts.risk_chart(risk_coverage([False, True], [0.9, 0.6]))
    assert "prefers-color-scheme:dark" in chart.svg
    assert "var(--ink)" in chart.svg
    printed = chart.for_print()
    assert "var(" not in printed
    assert "prefers-color-scheme" not in printed
    assert re.search(r"fill: #1f2933", printed)


def test_the_same_figures_give_the_same_picture() -> None:
    first, second = (charts.risk_chart(risk_coverage([False, True], [0.9, 0.6])).svg for _ in range(2))
    assert first == second


def test_features_lie_where_they_lie_and_have_the_colour_of_their_fact() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 0.1, (8, 4)), rng.normal(5, 0.1, (8, 4))])
    labels = np.repeat([0, 1], 8)
    sites = ["north"] * 7 + [""] + ["south"] * 8
    space = space_of(
        features,
        labels,
        ("normal", "tumor"),
        [f"{i // 2}" for i in range(16)],
        {"site": sites},
        np.random.default_rng(0),
    )
    by_class = charts.space_chart(space, "class")
    assert "normal" in by_class.alt
    assert "16 images" in by_class.alt
    marked = {colour: by_class.svg.count(f"fill: {colour}") for colour in (BLUE, ORANGE)}
    assert all(marked.values())
    by_site = charts.space_chart(space, "site")
    assert by_class.caption == "What the network sees of the images, by class"
    assert by_site.alt == "Features of 16 images in a plane, coloured by site: south, north."
    assert "unknown" not in by_site.svg


def test_of_many_features_some_are_drawn_and_the_page_stays_small() -> None:
    rng = np.random.default_rng(0)
    n = 6_000
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, 3)) + 4 * labels[:, None]
    space = space_of(features, labels, ("normal", "tumor"), None, {}, rng)
    drawn = charts.space_chart(space, "class")
    assert drawn.caption.endswith("by class (1,000 of 6,000 images)")
    assert "Features of 6000 images" in drawn.alt
    assert len(drawn.svg) < 1_000_000
    dots = {colour: drawn.svg.count(f"fill: {colour}") for colour in (BLUE, ORANGE)}
    assert min(dots.values()) > 400
