from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tests.conftest import make_predictions

from overread.errors import CohortError
from overread.evaluate.predictions import Predictions
from overread.evaluate.second_read import by_patient, second_read

FOUND, CAUTION = make_predictions(("cyst", "normal", "tumor"), images_each=3)


def read(found: Predictions = FOUND, **more):
    return second_read(found, caution=CAUTION, audit=None, seed=0, **more)


def test_figures_are_of_the_asked_part_alone() -> None:
    whole, test = read(), FOUND.part("test")
    assert (whole.score.n_images, whole.score.n_patients) == (len(test), len(set(test.patients)))
    assert whole.score.part == "test"
    kept = read(test + FOUND.part("val") + FOUND.part("calibrate"))
    assert kept.score == whole.score
    with pytest.raises(CohortError):
        read(part="external")


def test_nothing_is_chosen_on_the_tested_images() -> None:
    whole = read()
    rng = np.random.default_rng(0)
    in_test = np.array(FOUND.parts) == "test"
    p = np.where(in_test[:, None], rng.dirichlet((1, 1, 1), len(FOUND)), FOUND.probabilities)
    other = read(dataclasses.replace(FOUND, probabilities=p))
    assert [one.threshold for one in other.operating] == [one.threshold for one in whole.operating]
    assert other.caution == whole.caution
    for one, same in zip(whole.certainty.triage, other.certainty.triage, strict=True):
        assert one.rule == same.rule


def test_patients_are_pooled_by_the_mean_and_those_of_two_classes_left_out() -> None:
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    found = Predictions(
        paths=tuple("abcde"), frames=(0,) * 5, patients=("x", "x", "y", "z", "z"), truth=np.array([0, 0, 1, 0, 1]),
        probabilities=p, parts=("test",) * 5, classes=("normal", "tumor"),
    )  # fmt: skip
    pooled, left_out = by_patient(found)
    assert pooled is not None
    assert left_out == 1
    assert pooled.patients == ("x", "y")
    assert pooled.probabilities == pytest.approx(np.array([[0.7, 0.3], [0.2, 0.8]]))
    assert pooled.truth.tolist() == [0, 1]


def test_there_is_nothing_to_pool_with_one_image_a_patient_or_nobody_known() -> None:
    one, _ = make_predictions(images_each=1)
    assert by_patient(one) == (None, 0)
    unknown, _ = make_predictions(known=False)
    assert by_patient(unknown) == (None, 0)


def test_the_same_seed_gives_the_same_and_json_has_no_nan() -> None:
    first, again = (json.dumps(read().to_json(), allow_nan=False) for _ in range(2))
    assert first == again
    values = json.loads(first)
    assert values["verdict_in_words"] == read().verdict.words
    assert values["score"]["n_patients"] == 60


def test_marks_are_carried_and_the_own_ones_weigh() -> None:
    found = read(marks=("patients unknown: these figures may be too good",), carried=("trained on phantoms",))
    assert found.marks == ("trained on phantoms", "patients unknown: these figures may be too good")
