from __future__ import annotations

import csv

import numpy as np
import pytest

from overread.data.cohort import Row, patient_hash
from overread.evaluate.predictions import write_predictions

ROWS = [
    Row(path='tumor/a,"b".dcm', label="tumor", patient="DOE^JANE"),
    Row(path="normal/é.dcm", label="normal", frame=3),
]


def test_the_table_reads_back_equal_and_names_no_patient(tmp_path):
    p = np.array([[0.1, 0.9], [1 / 3, 2 / 3]], np.float32)
    write_predictions(tmp_path / "p.csv", ROWS, p, classes=("normal", "tumor"), parts=["test", "val"])
    text = (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert "DOE" not in text
    first, second = csv.DictReader(text.splitlines())
    assert first["path"] == ROWS[0].path
    assert first["patient"] == patient_hash("DOE^JANE")
    assert (first["true"], first["predicted"], first["split"]) == ("tumor", "tumor", "test")
    assert (second["patient"], second["frame"], second["predicted"], second["split"]) == (
        "",
        "3",
        "tumor",
        "val",
    )
    assert np.float32(second["probability tumor"]) == p[1, 1]


def test_rows_and_probabilities_must_match(tmp_path):
    with pytest.raises(ValueError, match="do not match"):
        write_predictions(tmp_path / "p.csv", ROWS, np.ones((3, 2)), classes=("a", "b"), parts=["test"] * 2)
    assert not list(tmp_path.iterdir())
