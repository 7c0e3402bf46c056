from __future__ import annotations

import csv

import numpy as np
import pytest

from overread.data.cohort import Row, patient_hash
from overread.errors import ModelError
from overread.evaluate.predictions import gather_predictions, read_predictions, write_predictions

ROWS = [
    Row(
        path='tumor/a,"b".dcm', label="tumor", patient="DOE^JANE", site="north", tags={"sex": "F", "age_years": "93"}
    ),
    Row(path="normal/é.dcm", label="normal", frame=3, tags={"thickness_mm": "2.5"}),
]
CLASSES = ("normal", "tumor")
PROBABILITIES = np.array([[0.1, 0.9], [1 / 3, 2 / 3]], np.float32)


def gathered(**more):
    return gather_predictions(ROWS, PROBABILITIES, classes=CLASSES, parts=["test", "val"], **more)


def test_the_table_names_no_patient_and_no_exact_age(tmp_path):
    write_predictions(tmp_path / "p.csv", gathered())
    text = (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert "DOE" not in text
    assert "93" not in text.replace("0.0930", "")
    first, second = csv.DictReader(text.splitlines())
    assert first["path"] == ROWS[0].path
    assert first["patient"] == patient_hash("DOE^JANE")
    assert (first["true"], first["predicted"], first["split"]) == ("tumor", "tumor", "test")
    assert (first["sex"], first["age"], first["site"], first["thickness"]) == ("F", "80 and over", "north", "")
    assert (second["patient"], second["frame"], second["split"]) == ("", "3", "val")
    assert (second["predicted"], second["distance"], second["thickness"]) == ("tumor", "", "1.5 to 3 mm")
    assert np.float32(second["probability tumor"]) == PROBABILITIES[1, 1]


def test_the_table_reads_back_equal(tmp_path):
    made = gathered(distance=[1234.5678, 0.25])
    write_predictions(tmp_path / "p.csv", made)
    back = read_predictions(tmp_path / "p.csv")
    for name in ("paths", "frames", "patients", "parts", "classes", "facts"):
        assert getattr(back, name) == getattr(made, name)
    np.testing.assert_array_equal(back.truth, made.truth)
    np.testing.assert_allclose(back.probabilities, made.probabilities, rtol=1e-8)
    np.testing.assert_allclose(back.distance, made.distance, rtol=1e-8)


def test_a_part_is_what_it_was_in_its_order():
    found = gathered(distance=[1.0, 2.0]).part("val")
    assert (found.paths, found.parts, found.patients) == (("normal/é.dcm",), ("val",), (None,))
    assert found.truth.tolist() == [0]
    assert found.distance.tolist() == [2.0]
    assert found.facts["sex"] == ("",)
    assert len(gathered().part("calibrate")) == 0


def test_one_patient_unknown_leaves_all_unknown():
    assert gathered().known_patients is None
    assert gathered().part("test").known_patients == (patient_hash("DOE^JANE"),)


def test_rows_and_probabilities_must_match():
    with pytest.raises(ValueError, match="do not match"):
        gather_predictions(ROWS, np.ones((3, 2)), classes=("a", "b"), parts=["test"] * 2)


@pytest.mark.parametrize("content", ["", "path,frame\n", "path,frame\na,b\n", "\0\0"])
def test_another_table_is_refused_in_words(tmp_path, content):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(ModelError, match="cannot be read as a table of predictions"):
        read_predictions(tmp_path / "p.csv")


def test_a_missing_table_is_refused_in_words(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_predictions(tmp_path / "p.csv")
