from __future__ import annotations

import math

import numpy as np
import pytest

from overread.report.figures import history_curves, roc_figure
from overread.stats import metrics
from overread.training.history import History

MARK = "split by image: patients are shared between train and test"


def history(accuracies, losses=None) -> History:
    rows = History()
    for i, accuracy in enumerate(accuracies):
        loss = losses[i] if losses else 1 - accuracy
        rows.add(epoch=i + 1, train_loss=0.1, train_accuracy=0.9, val_loss=loss, val_accuracy=accuracy)
    return rows


def test_both_curves_are_drawn_and_the_best_epoch_is_marked(words):
    loss, accuracy = history_curves(history([0.5, 0.96, 0.9]), marks=[MARK]).axes
    lines = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    assert list(lines["validation"]) == [0.5, 0.96, 0.9]
    assert list(lines["training"]) == [0.9, 0.9, 0.9]
    assert list(lines["epoch 2: 0.960"]) == [0.96]
    assert any(list(line.get_xdata()) == [2] for line in loss.lines)
    assert MARK in words(loss.figure)
    assert "3 epochs; the best by validation accuracy (ring) is kept" in words(loss.figure)


def test_the_best_epoch_can_be_chosen_by_another_column(words):
    figure = history_curves(history([0.9, 0.9], [0.5, 0.2]), select="val_loss")
    assert "validation loss (ring) is kept" in words(figure)
    assert [line.get_label() for line in figure.axes[0].lines][-1] == "epoch 2: 0.200"


@pytest.mark.parametrize("losses", [[0.69, 0.70, 0.69], [0.2, 0.9, 1.4], [1.4, 0.9, 0.2]])
def test_nothing_is_written_over_the_curves(losses):
    for axes in history_curves(history([0.5, 0.5, 0.5], losses)).axes:
        axes.figure.draw_without_rendering()
        assert axes.get_legend().get_window_extent().y0 >= axes.bbox.y1
        assert axes.get_legend().get_window_extent().x0 >= axes.title.get_window_extent().x1
        assert not axes.texts


@pytest.mark.parametrize("accuracies", [[], [0.5], [math.nan] * 3, list(np.linspace(0.5, 0.9, 60))])
def test_any_length_of_training_can_be_drawn(accuracies, assert_all_inside):
    assert_all_inside(history_curves(history(accuracies), marks=[MARK]))


def test_two_classes_have_one_curve_whose_area_is_the_auroc(scored, words):
    truth, p, score = scored(["normal", "pneumonia"])
    axes = roc_figure(truth, p, score, marks=[MARK]).axes[0]
    legend = axes.get_legend().get_texts()
    assert [text.get_text() for text in legend] == [f"pneumonia: {score.figure('auroc')}"]
    curve = next(line for line in axes.lines if line.get_label() == legend[0].get_text())
    area = np.trapezoid(curve.get_ydata(), curve.get_xdata())
    assert area == pytest.approx(score.figure("auroc").value)
    assert MARK in words(axes.figure)
    assert "60 images of 30 patients" in words(axes.figure)


def test_the_ring_stands_on_the_curve_where_the_network_answers(scored):
    truth, p, score = scored(["normal", "pneumonia"])
    axes = roc_figure(truth, p, score).axes[0]
    ring = next(line for line in axes.lines if line.get_marker() == "o")
    alarms, found = metrics.roc_curve(truth == 1, p[:, 1])
    on_curve = np.c_[alarms, found] - [ring.get_xdata()[0], ring.get_ydata()[0]]
    assert np.abs(on_curve).max(1).min() < 1e-12


@pytest.mark.parametrize("k", [3, 20])
def test_many_classes_and_a_class_without_images_fit(k, scored, assert_all_inside):
    truth, p, score = scored([f"class {i} of the lung" for i in range(k)], missing=1)
    figure = roc_figure(truth, p, score)
    assert_all_inside(figure)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(legend) == k
    assert legend[1] == "class 1 of the lung: no image to measure it on"
