"""Every number of a report, computed again from predictions.csv by other code."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from sklearn import metrics
from tests.report.again.conftest import Told
from tests.report.again.figures import Rows, delong, figure, ratios, share, weights, youden
from tests.report.again.intervals import Intervals
from tests.report.again.tree import assert_counted, figure_rows, same, same_figure, same_interval


def assert_table(table, rows: Rows) -> int:
    n = 0
    for cells, name, label in figure_rows(table):
        ends, basis = None, rows
        if name in ("accuracy", "sensitivity", "specificity"):
            if label:
                basis = rows.where((rows.truth == label) == (name == "sensitivity"))
            right = basis.called == basis.truth if not label else (basis.called == label) == (name == "sensitivity")
            ends = share(right, basis.units)[1:]
        same_figure(cells[2], figure(rows, name, label), ends)
        assert_counted(cells, basis)
        assert cells[1].text == (label or "all")
        n += 1
    return n


def test_figures_by_image(told: Told) -> None:
    tables = told.table("by-image")
    k = len(told.classes)
    # nine of all together; of each class sensitivity, specificity and F1, and of more than two AUROC and precision
    assert sum(assert_table(table, told.tested) for table in tables) == 9 + k * (3 if k == 2 else 5)


def test_figures_by_patient(told: Told) -> None:
    tables = told.table("by-patient")
    assert len(tables) == (told.tested.patients is not None)
    for table in tables:
        pooled = told.tested.pooled()
        assert len(pooled) == len(set(told.tested.patients)) < len(told.tested)
        assert assert_table(table, pooled) == 24


DRAWING = 0.1
"""of an interval's width: how far two sets of draws of patients lie apart at its ends"""


def assert_intervals(table, rows: Rows) -> int:
    again, n = Intervals(rows), 0
    for cells, name, label in figure_rows(table):
        (shown,) = cells[3].all("span", kind="interval")
        ends = np.array([float(shown.attrs[key]) for key in ("data-low", "data-high")])
        if (name, label) in again.exact:
            assert ends == pytest.approx(again.exact[name, label], abs=1e-6), name
        elif (name, label) in again.rough:
            wanted = np.array(again.rough[name, label])
            assert abs(ends - wanted).max() < DRAWING * np.ptp(wanted), name
        n += (name, label) in again.exact or (name, label) in again.rough
    return n


def test_intervals_of_figures_that_are_no_shares(told: Told) -> None:
    k = len(told.classes)
    assert sum(assert_intervals(table, told.tested) for table in told.table("by-image")) == 8 + k * (
        1 if k == 2 else 3
    )
    for table in told.table("by-patient"):
        assert assert_intervals(table, told.tested.pooled()) == 17


def test_what_stands_on_top(told: Told) -> None:
    auroc, accuracy, images, classes = told.page.all("div", kind="tile")
    same_figure(auroc, figure(told.tested, "auroc", None))
    same_figure(accuracy, figure(told.tested, "accuracy", None))
    right = told.tested.called == told.tested.truth
    same_interval(next(accuracy.all("span", kind="interval")), share(right, told.tested.units)[1:])
    of = "patients unknown" if told.tested.patients is None else f"of {told.tested.n_patients()} patients"
    assert next(images.all("b")).text == str(len(told.tested))
    assert images.text.endswith(of)
    assert classes.text == f"{len(told.classes)}classes: {', '.join(told.classes)}"


def test_each_class_was_taken_for(told: Told) -> None:
    (table,) = told.table("confusion")
    shown = [[int(cell.text) for cell in row.all("td")] for row in list(table.all("tr"))[1:]]
    again = metrics.confusion_matrix(told.tested.truth, told.tested.called, labels=told.classes)
    assert shown == again.tolist()


def test_thresholds_and_what_they_do(told: Told) -> None:
    tables = told.table("operating")
    assert [table.attrs["data-class"] for table in tables] == told.shown
    for table in tables:
        label, tested = table.attrs["data-class"], told.tested
        threshold = float(table.attrs["data-threshold"])
        assert threshold == pytest.approx(youden(told.of("val"), label), rel=1e-9)
        prevalence = float(((tested.truth == label) * weights(tested.units, equal=True)).sum())
        assert float(table.attrs["data-prevalence"]) == pytest.approx(prevalence, rel=1e-9)
        again = ratios(tested, label, threshold, prevalence)
        rows = list(figure_rows(table))
        assert [name for _, name, _ in rows] == list(again)[:2] + [
            f"{sign} {what}" for what in ("likelihood ratio", "predictive value") for sign in ("positive", "negative")
        ]
        for cells, name, of in rows:
            assert of == label
            value, *ends = again[name]
            same_figure(cells[2], value, tuple(ends))
            ill = tested.truth == label
            assert_counted(
                cells, tested.where(ill if name == "sensitivity" else ~ill if name == "specificity" else ill == ill)
            )


def test_what_is_said_of_a_threshold(told: Told) -> None:
    (section,) = (one for one in told.page.all("section") if one.attrs["id"] == "operating")
    tables = told.table("operating")
    said = list(section.all("h3")), [p for p in section.all("p") if "prevalence of" in p.text]
    for table, heading, sentence in zip(tables, *said, strict=True):
        same(re.search(r"(\d\.\d+) and above", heading.text)[1], float(table.attrs["data-threshold"]))
        assert float(sentence.text.split()[-1].rstrip(".")) == pytest.approx(
            float(table.attrs["data-prevalence"]), rel=5e-3
        )


def test_subgroups(told: Told) -> None:
    (table,) = told.table("groups")
    columns = {"sex": "sex", "site": "site", "kernel": "kernel"}
    seen = []
    for row in table.all("tr"):
        if "data-fact" not in row.attrs:
            continue
        column, value = columns[row.attrs["data-fact"]], row.attrs["data-group"]
        group, cells = told.of("test", **{column: value}), list(row.all("td"))
        same_figure(cells[2], figure(group, "accuracy", None), share(group.called == group.truth, group.units)[1:])
        same_figure(cells[5], figure(group, "auroc", None))
        ends = list(cells[5].all("span", kind="interval"))
        assert len(ends) == (len(told.classes) == 2)
        for shown in ends:
            same_interval(shown, delong(group, told.classes[-1]))
        assert_counted(cells, group)
        seen.append((column, value))
    known = {(column, row[column]) for row in told.tested.rows for column in columns if row.get(column)}
    assert set(seen) == known
    assert len(seen) == len(known)


def test_counts_of_each_class_in_each_part(told: Told) -> None:
    (table,) = (one for one in told.page.all("table") if one.text.startswith("Images (patients) of each class"))
    head, *rows = table.all("tr")
    parts = [cell.text for cell in head.all("th")][1:]
    assert [next(row.all("th")).text for row in rows] == told.classes
    for row in rows:
        for part, cell in zip(parts, row.all("td"), strict=True):
            if part == "train":  # not in predictions.csv
                continue
            there = told.of(part, true=next(row.all("th")).text)
            patients = "" if there.patients is None else f" ({there.n_patients()})"
            assert cell.text == f"{len(there)}{patients}"


def test_no_number_is_left_out(told: Told) -> None:
    """All decimals of the tables stand where these tests compute them again, but for what is seen in images."""
    again = {"by-image", "by-patient", "operating", "groups", "calibration", "certainty", "sets", "triage"}
    of_images = {"looks", "space", "checks"}
    n = 0
    for cell in told.page.all("td"):
        if of_images & set(cell.above("table").attrs.get("class", "").split()):
            continue
        covered = [*cell.all("span", kind="figure"), *cell.all("span", kind="interval")]
        left = cell.text
        for shown in covered:
            left = left.replace(shown.text, "", 1)
            assert again & set(cell.above("table").attrs["class"].split())
        if "words" not in cell.attrs.get("class", ""):
            assert not re.search(r"\d\.\d", left), cell.text
        n += len(covered)
    assert n > 80


def test_intervals_hold_their_values_and_bars_show_them(told: Told) -> None:
    for row in told.page.all("tr"):
        shown, bars = list(row.all("span", kind="interval")), list(row.all("div", kind="track"))
        if not bars:
            continue
        value = float(next(row.all("span", kind="figure")).attrs["data-value"])
        low, high = (float(shown[0].attrs[name]) for name in ("data-low", "data-high"))
        assert low <= value <= high
        (line,), (point,) = bars[0].all("i"), bars[0].all("b")
        drawn = [float(x) for x in re.findall(r"[\d.]+(?=%)", line.attrs["style"] + point.attrs["style"])]
        assert drawn == pytest.approx([100 * low, 100 * (high - low), 100 * value], abs=0.051)


def test_numbers_in_the_reasons_are_numbers_of_the_tables(told: Told) -> None:
    known = [*told.probed, 0.5]
    for shown in told.page.all("span"):
        known += [float(shown.attrs.get(f"data-{name}", "nan")) for name in ("value", "low", "high")]
    tabled = np.array([value for value in known if not math.isnan(value)])
    items = [item.text for section in told.page.all("section", kind="verdict") for item in section.all("li")]
    numbers = [number for text in items for number in re.findall(r"\d+\.\d+", text)]
    assert any("the network" in text for text in items), "the probe is told beside the network"
    for number in numbers:
        digits = len(number.partition(".")[2])
        assert np.abs(tabled - float(number)).min() <= 0.5 * 10**-digits + 1e-9, number
    assert numbers


def test_the_table_keeps_what_the_report_was_made_of(told: Told) -> None:
    """Each part sums to 1, and the answer is the likeliest class."""
    for row in told.rows:
        p = {name: float(row[f"probability {name}"]) for name in told.classes}
        assert sum(p.values()) == pytest.approx(1, abs=1e-12)
        assert p[row["predicted"]] == max(p.values())
