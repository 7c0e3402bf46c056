from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from overread.report.figures import choose, prediction_grid, sample_figure, save
from overread.report.style import CROSS, RIGHT, TICK, WRONG

CLASSES = ("aneurysm", "cancer", "tumor")
LONG = ("adenocarcinoma of the left lower lobe, stage IIIa", "large cell carcinoma of the left hilum", "normal")
MARK = "patients unknown: these figures may be too good"


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, size=(n, 32, 32, 3), dtype=np.uint8)


def grid(truth, predicted, classes=CLASSES, **more):
    p = np.full((len(truth), len(classes)), 0.02)
    p[np.arange(len(truth)), predicted] = 0.96
    return prediction_grid(pictures(len(truth)), truth, predicted, p, classes, **more)


def test_right_is_green_with_a_tick_and_wrong_is_red_with_a_cross():
    right, wrong = grid([0, 1], [0, 2]).axes
    for axes, colour, sign, others in ((right, RIGHT, TICK, CROSS), (wrong, WRONG, CROSS, TICK)):
        said = next(text for text in axes.texts if "predicted" in text.get_text())
        assert said.get_color() == colour
        assert sign in said.get_text()
        assert others not in said.get_text()
        assert to_hex(axes.spines["left"].get_edgecolor()).upper() == colour
    assert wrong.spines["left"].get_linewidth() > 2 * right.spines["left"].get_linewidth()


def test_each_title_has_the_true_class_the_predicted_one_and_its_probability():
    text = " ".join(text.get_text() for text in grid([1], [2]).axes[0].texts)
    assert "true: cancer" in text
    assert "predicted: tumor, 96 %" in text


@pytest.mark.parametrize("n", [1, 3, 7, 20])
@pytest.mark.parametrize("classes", [CLASSES, LONG])
def test_nothing_is_cut_off_and_no_titles_touch(n, classes, assert_all_inside):
    figure = grid(np.arange(n) % 3, np.arange(n) // 2 % 3, classes, caption="c", marks=[MARK])
    assert len(figure.axes) == n
    assert_all_inside(figure)
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_long_names_keep_the_ends_that_tell_them_apart():
    text = " ".join(text.get_text() for text in grid([0], [0], LONG).axes[0].texts)
    assert text.count("IIIa") == 2


def test_a_true_class_is_not_cut_where_the_same_predicted_one_fits():
    names = ("tuberculosis, miliary", "normal")
    text = [text.get_text() for text in grid([0], [0], names).axes[0].texts]
    assert "true: tuberculosis, miliary" in text


def test_warnings_and_numbers_stand_on_both_figures(words):
    caption = "3 of the test part: 27 images, patients unknown"
    for figure in (
        grid([0], [0], caption=caption, marks=[MARK]),
        sample_figure(pictures(1), ["tumor"], caption=caption, marks=[MARK]),
    ):
        assert MARK in words(figure)
        assert caption in words(figure)


def test_sample_shows_each_image_under_its_class_unaltered():
    images = pictures(20)
    figure = sample_figure(images, [CLASSES[i % 3] for i in range(20)])
    assert [axes.texts[0].get_text() for axes in figure.axes][:4] == ["aneurysm", "cancer", "tumor", "aneurysm"]
    assert all((axes.images[0].get_array() == image).all() for axes, image in zip(figure.axes, images, strict=True))


def test_choose_takes_some_at_random_and_no_more_than_there_are():
    chosen = choose(100, 20, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 20
    assert (np.diff(chosen) > 0).all()
    assert (chosen == choose(100, 20, np.random.default_rng(0))).all()
    assert choose(3, 20, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_real_images_make_a_picture_to_look_at(shared, tmp_path):
    files = sorted((shared / "data/brain-ct/jpg/tumor").glob("*.jpg"))[:5]
    images = np.stack([np.asarray(Image.open(f).convert("RGB").resize((224, 224))) for f in files])
    png, _ = save(sample_figure(images, ["tumor"] * 5), tmp_path, "sample")
    with Image.open(png) as picture:
        assert picture.width > 5 * 224
