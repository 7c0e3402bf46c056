from __future__ import annotations

import pytest

from overread.predict import Prediction
from overread.serve.summary import add_answer, mean_probabilities, n_silent, silence
from overread.serve.tables import Study


def _study(*silences: str | None) -> Study:
    study = Study(model="", sums={}, n_frames=0, label="", probability=0.0, abstains="")
    for number, why in enumerate(silences):
        p = {"cancer": 0.9, "tumor": 0.1} if number % 2 == 0 else {"cancer": 0.6, "tumor": 0.4}
        add_answer(study, Prediction(path="x", frame=0, label="cancer", probabilities=p, abstains=why), model="m")
    return study


def test_a_study_is_the_mean_of_its_frames() -> None:
    study = _study(None, None)
    assert mean_probabilities(study) == pytest.approx({"cancer": 0.75, "tumor": 0.25})
    assert (study.label, n_silent(study), silence(study)) == ("cancer", 0, "")
    assert study.probability == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("silences", "n", "why"),
    [
        ((None, "far", None), 1, ""),
        (("far", None), 1, ""),
        (("far", None, "far"), 2, "far"),
        (("far", "apart", "far", "apart", "far"), 5, "far"),
    ],
)
def test_it_is_silent_where_most_frames_are(silences: tuple[str | None, ...], n: int, why: str) -> None:
    study = _study(*silences)
    assert (n_silent(study), study.abstains) == (n, why)
    assert silence(study) == (f"{why} ({n} of {len(silences)} images without an answer)" if why else "")


def test_another_model_begins_anew() -> None:
    study = _study("far", "far")
    add_answer(study, Prediction(path="x", frame=0, label="tumor", probabilities={"tumor": 1.0}), model="n")
    assert (study.n_frames, n_silent(study), study.label, study.abstains) == (1, 0, "tumor", "")


def test_of_one_image_the_reason_is_enough() -> None:
    assert silence(_study("far")) == "far"
