from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from overread.audit.audit import Audit
from overread.audit.check import Finding
from overread.evaluate.predictions import Predictions
from overread.report.pictured import as_png, finding_pictures, in_grey, mistakes, shown_path, surest_mistakes


def said(tumor, truth, patients=None, frames=None) -> Predictions:
    n, tumor = len(tumor), np.asarray(tumor, float)
    return Predictions(
        paths=tuple(f"{at}.dcm" for at in range(n)), frames=tuple(frames or [0] * n), truth=np.asarray(truth),
        patients=tuple(patients or (f"p{at}" for at in range(n))), probabilities=np.c_[1 - tumor, tumor],
        parts=("test",) * n, classes=("normal", "tumor"),
    )  # fmt: skip


def test_the_surest_mistakes_come_first_and_right_answers_never() -> None:
    assert surest_mistakes(said([0.9, 0.6, 0.99, 0.2], [0, 0, 1, 1])) == [0, 3, 1]
    assert surest_mistakes(said([0.1, 0.9], [0, 1])) == []


def test_at_most_two_are_of_one_patient_and_a_dozen_in_all() -> None:
    many = said(np.linspace(0.6, 0.99, 40), [0] * 40, patients=["p"] * 5 + [f"q{at // 3}" for at in range(35)])
    places = surest_mistakes(many)
    assert len(places) == 12
    of = [many.patients[place] for place in places]
    assert max(map(of.count, of)) == 2
    assert of[:2] == ["q11", "q11"]


def test_a_picture_says_truth_answer_and_where_and_is_left_out_where_it_is_lost() -> None:
    grey = np.full((300, 200, 3), 90, np.uint8)
    shown = mistakes(said([0.9, 0.8], [0, 0], frames=[3, 0]), lambda path, frame: grey if path == "0.dcm" else None)
    (one,) = shown
    assert one.caption == "normal, called tumor (0.90); patient p0; 0.dcm [3]"
    assert one.alt == "An image of normal that was called tumor."
    assert Pillow.open(io.BytesIO(one.png)).size == (149, 224)


def finding(code: str, *where: str) -> Finding:
    return Finding(code=code, title=f"Fault {code}", severity="note", what="", do="", n=1, unit="pairs", where=where)


def test_a_pair_of_images_is_shown_once_for_all_findings_that_name_it() -> None:
    pair, single = "a.png = b.dcm [2]", "c.png"
    audit = Audit(
        findings=(finding("D01", pair), finding("D02", pair), finding("Q02", single), finding("L01", "5f3a22b1")),
        n_images=9, n_patients=3, asked=(),
    )  # fmt: skip
    there = {("a.png", 0), ("b.dcm", 2), ("c.png", 0)}
    square = np.zeros((8, 8, 3), np.uint8)
    shown = finding_pictures(audit, lambda path, frame: square if (path, frame) in there else None)
    assert [title for title, _ in shown] == ["Fault D01 (D01); Fault D02 (D02)", "Fault Q02 (Q02)"]
    assert [one.caption for one in shown[0][1]] == ["a.png", "b.dcm [2]"]
    assert finding_pictures(None, lambda path, frame: square) == ()


def test_of_three_windows_the_first_is_shown() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)
    assert (in_grey(pixels, "brain,bone,lung") == pixels[..., :1]).all()
    assert in_grey(pixels, "brain") is pixels


def test_frames_are_named_where_there_are_several() -> None:
    assert (shown_path("a.dcm", 0), shown_path("a.dcm", 4)) == ("a.dcm", "a.dcm [4]")


@pytest.mark.parametrize("size", [(20, 10), (1000, 500)])
def test_pictures_are_small(size: tuple[int, int]) -> None:
    png = as_png(np.zeros((*size, 3), np.uint8))
    assert max(Pillow.open(io.BytesIO(png)).size) == min(max(size), 224)
