from __future__ import annotations

import pytest

from overread.report.figures import confusion_figure


def test_cells_hold_the_number_and_the_percent_of_the_row(scored):
    _, _, score = scored(["normal", "pneumonia"])
    axes = confusion_figure(score).axes[0]
    cells = [text.get_text() for text in axes.texts[:4]]
    (a, b), (c, d) = score.confusion
    for cell, count, total in zip(cells, (a, b, c, d), (a + b, a + b, c + d, c + d), strict=True):
        assert cell == (f"{count}\n{100 * count / total:.0f} %" if count else "0")


def test_rows_are_truth_with_their_number_and_warnings_are_shown(scored, words):
    _, _, score = scored(["normal", "pneumonia"], patients=False)
    figure = confusion_figure(score, marks=["patients unknown: these figures may be too good"])
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels[:2] == ["normal  (n = 30)", "pneumonia  (n = 30)"]
    assert "60 images, patients unknown" in words(figure)
    assert "patients unknown: these figures may be too good" in words(figure)


def test_a_class_without_images_is_left_blank(scored):
    _, _, score = scored(["a", "b", "c"], missing=1)
    axes = confusion_figure(score).axes[0]
    rows = {round(text.get_position()[1]) for text in axes.texts[:-2]}
    assert rows == {0, 2}
    assert axes.get_yticklabels()[1].get_text() == "b  (n = 0)"


@pytest.mark.parametrize("k", [2, 3, 8, 20])
@pytest.mark.parametrize("name", ["c{}", "lobe {} of the lung with a long, long, long name"])
def test_any_number_of_classes_fits(k, name, scored, assert_all_inside):
    _, _, score = scored([name.format(i) for i in range(k)])
    assert_all_inside(confusion_figure(score, marks=["a warning"]))
