from __future__ import annotations

import json

import pytest

from overread.errors import ModelError
from overread.model.bundle import load_card, seal
from overread.report.known import read_known


def spoil(folder, name: str, text: str) -> None:
    """Change a file, and let model.json vouch for it: as a file of another version would be."""
    (folder / name).write_text(text, encoding="utf-8")
    seal(folder, load_card(folder, verify=()))


def test_the_division_is_counted_by_hand(model_folder, rows) -> None:
    division = read_known(model_folder(rows=rows(shared=True, unused=3))).division
    assert [(part.name, part.n_images, part.n_patients) for part in division.parts] == [
        ("train", 16, 8),
        ("val", 8, 4),
        ("test", 12, 6),
    ]
    assert division.part("test").images == {"aneurysm": 6, "tumor": 6}
    assert division.part("test").patients == {"aneurysm": 3, "tumor": 3}
    assert division.part("calibrate") is None
    assert (division.n_patients, division.n_shared, division.n_unknown, division.n_unused) == (16, 2, 0, 3)


def test_unknown_patients_are_not_one_patient(model_folder, rows) -> None:
    division = read_known(model_folder(rows=rows(unknown=True))).division
    assert [part.n_patients for part in division.parts] == [None, None, None]
    assert (division.n_patients, division.n_shared, division.n_unknown) == (0, 0, 36)


def test_what_was_left_out_is_counted_by_kind(model_folder) -> None:
    known = read_known(model_folder(skipped=("empty", "truncated", "empty", "unlisted")))
    assert known.skipped == {"empty": 2, "truncated": 1}


@pytest.mark.parametrize(
    ("source", "kind"), [("a.CSV", "CSV"), ("a.json", "MONAI"), ("a.npz", "NPZ"), ("a", "folder")]
)
def test_the_source_is_told_by_its_kind_alone(source: str, kind: str, model_folder) -> None:
    assert kind in read_known(model_folder(source=f"/data/{source}")).record.source_kind


@pytest.mark.parametrize("name", ["metrics.json", "training.json", "split.csv", "audit.json", "evaluation.json"])
def test_a_file_that_has_changed_is_refused(name: str, model_folder, audit) -> None:
    folder = model_folder(audit=audit, evaluated=True)
    (folder / name).write_text((folder / name).read_text() + " ")
    with pytest.raises(ModelError, match=rf"{name} in .* has changed .*Take the folder from its source again"):
        read_known(folder)


@pytest.mark.parametrize("name", ["metrics.json", "training.json", "split.csv"])
def test_a_file_that_is_not_there_is_refused(name: str, model_folder) -> None:
    folder = model_folder()
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing from"):
        read_known(folder)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("metrics.json", "{", "Expecting property name"),
        ("metrics.json", "[]", "list indices"),
        ("metrics.json", '{"part": "test"}', "'classes' is missing"),
        ("training.json", '{"source": "x", "train": {"epochs": -1}}', "--epochs"),
        ("training.json", '{"source": "x", "train": {"speed": 1}}', "Unknown settings"),
        ("split.csv", "path,part\na,test\n", "'split' is missing"),
        ("audit.json", '{"verdict": "good"}', "'asked' is missing"),
        ("evaluation.json", "{}", "'calibration' is missing"),
        ("evaluation.json", "[" * 100_000, "recursion"),
    ],
)
def test_a_file_of_another_form_is_an_error_that_says_what_and_where(
    name: str, text: str, found: str, model_folder, audit
) -> None:
    folder = model_folder(audit=audit, evaluated=True)
    spoil(folder, name, text)
    with pytest.raises(ModelError) as failure:
        read_known(folder)
    said = str(failure.value)
    assert said.startswith(f"{folder / name} cannot be read: ")
    assert found in said
    assert said.endswith("Take the folder from its source again.")


def test_a_folder_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match="is not a model folder"):
        read_known(tmp_path)


def test_an_error_of_expected_calibration_that_has_no_value_is_nan(model_folder) -> None:
    folder = model_folder(evaluated=True)
    content = json.loads((folder / "evaluation.json").read_text())
    content["calibration"]["by_class"][0]["error"]["value"] = None
    content["certainty"]["given"] = None
    content["by_patient"] = None
    spoil(folder, "evaluation.json", json.dumps(content))
    evaluated = read_known(folder).evaluated
    assert evaluated.calibration[0].error != evaluated.calibration[0].error
    assert evaluated.coverage is None
    assert evaluated.by_patient is None
