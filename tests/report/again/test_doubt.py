"""What a report says of doubt, computed again from predictions.csv by other code."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from sklearn import metrics
from tests.report.again.conftest import Told
from tests.report.again.doubt import FAR, Binned, patients_of, quantile, sets, temperature, triage
from tests.report.again.figures import share, weights
from tests.report.again.tree import assert_counted, figure_rows, same, same_figure, same_interval


def section(told: Told, name: str):
    (found,) = (one for one in told.page.all("section") if one.attrs["id"] == name)
    return found


def test_temperature_and_log_loss(told: Told) -> None:
    sentence = next(section(told, "calibration").all("p"))
    shown = {one.attrs["data-figure"]: one for one in sentence.all("span", kind="figure")}
    at = float(shown["temperature"].attrs["data-value"])
    best, before, after = temperature(told.held_out, at)
    assert at == pytest.approx(best, rel=1e-4)
    same(shown["temperature"].text, at)
    same(re.search(r"there (\S+) before", sentence.text)[1], before)
    same(re.search(r"before, (\S+) after", sentence.text)[1], after)
    tested = told.tested
    cold = tested.p**at
    for name, p in (("before", cold / cold.sum(axis=1, keepdims=True)), ("after", tested.p)):
        one = shown[f"log_loss_{name}"]
        loss = metrics.log_loss(tested.truth, p, labels=told.classes)
        assert float(one.attrs["data-value"]) == pytest.approx(loss, rel=1e-6)
        same(one.text, loss)


def test_calibration(told: Told) -> None:
    (table,) = told.table("calibration")
    rows = [row for row in table.all("tr") if "data-class" in row.attrs]
    assert [row.attrs["data-class"] for row in rows] == told.shown
    for row in rows:
        binned = Binned(told.tested, row.attrs["data-class"])
        assert row.attrs["data-bins"] == str(len(binned.bins))
        cells = {next(cell.all("span", kind="figure")).attrs["data-figure"]: cell for cell in row.all("td")}
        found, chance = binned.error(binned.happened), binned.by_chance()
        known = {"ece": found, **binned.brier()}
        for name, value in known.items():
            same_figure(cells.pop(name), value)
        slope, *ends = binned.slope()
        same_figure(cells.pop("calibration slope"), slope, tuple(ends))
        drawn = {"ece_by_chance": (chance.mean(), chance.std()), "ece_p": ((chance >= found).mean(), 0.5)}
        assert set(cells) == set(drawn)
        for name, (value, spread) in drawn.items():  # both sides drew: 1000 times there, 4000 times here
            assert float(cells[name].text) == pytest.approx(value, abs=4 * spread * math.sqrt(1 / 1000 + 1 / 4000))


def test_sets_and_abstentions(told: Told) -> None:
    tested, held_out = told.tested, told.held_out
    named = sets(tested, held_out, "lac", by_class=True)
    limit = quantile([float(r["distance"]) for r in held_out.rows], held_out.units, FAR)
    far = np.array([float(row["distance"]) > limit for row in tested.rows])
    silent = far | (named.sum(axis=1) != 1)
    held = np.array([named[i, told.classes.index(t)] for i, t in enumerate(tested.truth)])
    right, n_rows = tested.called == tested.truth, 0
    assert 0 < silent.sum() < len(tested)
    assert far.any()
    again = {
        "coverage": (held, True), "sets of one class": (named.sum(axis=1) == 1, True),
        "empty sets": (named.sum(axis=1) == 0, True), "too unlike the training images": (far, False),
        "not answered with one class": (silent, False), "accuracy where it answers": (right, False),
    }  # fmt: skip
    (table,) = told.table("certainty")
    for cells, name, label in figure_rows(table):
        hits, equal = again[name]
        among = ~silent if name.startswith("accuracy") else (tested.truth == label) | (label is None)
        basis = tested.where(among)
        value, *ends = share(hits[among], basis.units, equal=equal)
        same_figure(cells[2], value, tuple(ends))
        assert_counted(cells, basis)
        n_rows += 1
    assert n_rows == len(again) + len(told.classes)


def test_other_ways_to_make_sets(told: Told) -> None:
    (table,) = told.table("sets")
    tested, seen = told.tested, []
    for row in table.all("tr"):
        if "data-method" not in row.attrs:
            continue
        method, by_class = row.attrs["data-method"], row.attrs["data-promise"] == "class"
        named = sets(tested, told.held_out, method, by_class=by_class)
        held = [named[i, told.classes.index(t)] for i, t in enumerate(tested.truth)]
        coverage, size = list(row.all("td"))[2:]
        value, *ends = share(held, tested.units, equal=True)
        same_figure(coverage, value)
        same_interval(next(coverage.all("span", kind="interval")), ends)
        same_figure(size, float(weights(tested.units, equal=True) @ named.sum(axis=1)))
        seen.append((method, by_class))
    assert len(set(seen)) == len(seen) == 6


def test_triage(told: Told) -> None:
    (table,) = told.table("triage")
    rows = [row for row in table.all("tr") if "data-class" in row.attrs]
    assert [row.attrs["data-class"] for row in rows] == told.shown
    promised: list[bool] = []
    for row in rows:
        label, (out, into, left) = row.attrs["data-class"], row.all("td")
        low, high = triage(told.held_out, label)
        seen = patients_of(told.tested, label)
        ruled_out = {i for i, (_, s) in enumerate(seen) if low is not None and s < low}
        ruled_in = {i for i, (_, s) in enumerate(seen) if high is not None and s >= high} - ruled_out
        for cell, at, ruled, wrong in ((out, low, ruled_out, True), (into, high, ruled_in, False)):
            assert (at is None) == cell.text.startswith("refused: ")
            if at is None:
                continue
            among = [i for i, (ill, _) in enumerate(seen) if ill == wrong]
            value, *ends = share([i in ruled for i in among], among)
            threshold, figure = cell.all("span", kind="figure")
            for shown, number in ((threshold, at), (figure, value)):
                assert float(shown.attrs["data-value"]) == pytest.approx(number, rel=1e-8)
                same(shown.text, number)
            same_interval(next(cell.all("span", kind="interval")), ends)
        same_figure(left, 1 - len(ruled_out | ruled_in) / len(seen))
        promised += [low is not None, high is not None]
    assert any(promised) == (len(told.held_out) > 100)


def test_what_the_charts_say_to_those_who_do_not_see_them(told: Told) -> None:
    said = {image.attrs["alt"].split()[0]: image.attrs["alt"] for image in told.page.all("img")}
    errors = [float(x) for x in re.findall(r"\d\.\d+", said["Errors:"])]
    tested = told.tested
    w, order = weights(tested.units, equal=True), np.argsort(-tested.p.max(axis=1), kind="stable")
    wrong, answered = (w * (tested.called != tested.truth))[order].cumsum(), w[order].cumsum()
    half = int(np.argmax(answered >= 0.5 - 1e-12))
    assert errors == pytest.approx([wrong[-1], wrong[half] / answered[half]], abs=0.005001)
    offs = re.findall(r"off by (\d\.\d+)", said["Calibration:"])
    for label, text in zip(told.shown, offs, strict=True):
        binned = Binned(tested, label)
        same(text, binned.error(binned.happened))
