from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from overread.errors import RunError
from overread.report import style
from overread.report.figures import confusion_figure, save


def test_saves_a_png_of_the_figure_s_size_and_an_svg(tmp_path):
    figure = style.sheet(3, 2, title="A title").figure
    png, svg = save(figure, tmp_path / "figures", "one")
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    with Image.open(png) as picture:
        assert picture.format == "PNG"
        assert np.abs(np.subtract(picture.size, (width, height))).max() <= 1
    assert b"<svg" in svg.read_bytes()
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["one.png", "one.svg"]


def test_svg_is_the_same_byte_for_byte_and_undated(tmp_path, scored):
    for name in ("a", "b"):
        _, _, result = scored(["normal", "tumor"])
        save(confusion_figure(result, marks=["a warning"]), tmp_path, name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"dc:date" not in (tmp_path / "a.svg").read_bytes()


def test_a_folder_that_cannot_be_made_is_a_plain_error(tmp_path):
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(RunError, match="could not be written"):
        save(style.sheet(1, 1, title="t").figure, tmp_path / "figures", "one")


def test_every_warning_is_in_full_on_the_sheet_and_within_it(words, assert_all_inside):
    marks = [
        "patients unknown: these figures may be too good",
        "split by image: patients are shared between train and test " * 4,
    ]
    figure = style.sheet(2, 2, title="t", marks=marks).figure
    shown = " ".join(words(figure).split())
    for mark in marks:
        assert " ".join(mark.split()) in shown
    assert_all_inside(figure)


def test_counted_says_images_and_patients():
    assert style.counted(203, 101) == "test part: 203 images of 101 patients"
    assert style.counted(1, 1, part="val") == "val part: 1 image of 1 patient"
    assert style.counted(27, None) == "test part: 27 images, patients unknown"


def test_shorten_keeps_both_ends_and_fits():
    name = "adenocarcinoma of the left lower lobe, stage IIIa"
    short = style.shorten(name, 1.5, 8.5)
    assert short.startswith("aden")
    assert short.endswith("IIIa")
    assert style.text_width_in(short, 8.5) <= 1.5
    assert style.shorten("tumor", 1.5, 8.5) == "tumor"


def test_green_and_red_differ_for_a_red_blind_and_a_green_blind_eye():
    # Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB.
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    right, wrong = (np.array(mpl.colors.to_rgb(colour)) ** 2.2 for colour in (style.RIGHT, style.WRONG))
    for eye in (protan, deutan):
        seen = [np.clip(np.array(eye) @ colour, 0, 1) ** (1 / 2.2) for colour in (right, wrong)]
        assert np.abs(seen[0] - seen[1]).max() > 0.25


def test_the_style_does_not_leak_and_the_user_s_does_not_enter(scored):
    with mpl.rc_context({"figure.facecolor": "black", "font.size": 30.0}):
        figure = confusion_figure(scored(["a", "b"])[2])
        assert mpl.rcParams["font.size"] == 30
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_a_class_named_like_a_formula_or_in_another_script_is_drawn(tmp_path, scored):
    figure = confusion_figure(scored(["$x_", "动脉瘤", "größer"])[2])
    save(figure, tmp_path, "names")
    assert "$x_" in figure.axes[0].get_xticklabels()[0].get_text()


def test_a_flag_in_a_warning_is_not_broken_at_its_hyphen():
    mark = "patients unknown: name them by --patient-column or by --patient-regex, or give DICOM files, please"
    for width_in in np.arange(2, 8, 0.25):
        (shown,) = (
            t.get_text()
            for t in style.sheet(width_in, 2, title="t", marks=[mark]).figure.texts
            if "!" in t.get_text()
        )
        assert "--patient-column" in shown
        assert "--patient-regex" in shown
