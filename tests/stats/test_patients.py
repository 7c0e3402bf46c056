from __future__ import annotations

import numpy as np
import pytest

from overread.stats.patients import count_patients, equal_weights, of_some, patient_codes


def test_images_of_one_patient_get_one_number() -> None:
    assert patient_codes(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert patient_codes(np.array([30, 10, 30]), 3).tolist() == [1, 0, 1]


def test_without_patients_each_image_stands_alone() -> None:
    assert patient_codes(None, 3).tolist() == [0, 1, 2]
    assert equal_weights(None, 3).tolist() == [1, 1, 1]
    assert count_patients(None) is None
    assert of_some(None, np.array([True, False])) is None


def test_each_patient_weighs_one_whatever_the_images() -> None:
    patients = ["a"] * 5 + ["b"] * 2 + ["c"]
    weights = equal_weights(patients, 8)
    for name in "abc":
        assert weights[np.array(patients) == name].sum() == pytest.approx(1)


def test_some_patients_keep_their_order() -> None:
    assert of_some(["a", "b", "a"], np.array([True, False, True])) == ["a", "a"]


def test_nothing_has_no_patients() -> None:
    assert patient_codes([], 0).size == patient_codes(None, 0).size == equal_weights([], 0).size == 0
    assert count_patients([]) == 0


def test_a_list_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 patients are given for 3 images"):
        patient_codes(["a", "b"], 3)


def test_a_list_with_unknown_patients_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="patient of 2 of 3 images is unknown"):
        patient_codes(["a", None, None], 3)
    with pytest.raises(ValueError, match="patient of 1 of 1 images is unknown"):
        count_patients([None])
