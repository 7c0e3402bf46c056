from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError
from overread.model import bundle
from overread.model.bundle import Card
from overread.settings import ImageSettings


@pytest.fixture
def card() -> Card:
    return Card(
        backbone="resnet18",
        classes=("normal", "tumor"),
        image=ImageSettings(size_px=64, window="brain"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        weights_source="a test",
        marks=("patients unknown",),
        best_epoch=3,
        versions={"overread": "0"},
    )


@pytest.fixture
def folder(tmp_path: Path, card: Card) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"network")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "curves.png").write_bytes(b"picture")
    bundle.seal(tmp_path, card)
    return tmp_path


def test_a_sealed_folder_reads_back_as_it_was(folder: Path, card: Card) -> None:
    found = bundle.load_card(folder)
    assert (found.classes, found.image, found.marks, found.best_epoch) == (
        card.classes,
        card.image,
        card.marks,
        card.best_epoch,
    )
    assert set(found.files) == {"model.onnx", "figures/curves.png"}


@pytest.mark.parametrize("name", ["model.onnx", "figures/curves.png"])
def test_a_changed_file_is_found_by_its_hash(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"something else")
    with pytest.raises(ModelError, match=f"{name} in .* has changed"):
        bundle.load_card(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        bundle.load_card(folder, verify=("model.onnx",))


def test_only_what_is_asked_for_is_hashed(folder: Path) -> None:
    (folder / "figures" / "curves.png").write_bytes(b"something else")
    assert bundle.load_card(folder, verify=("model.onnx",)).backbone == "resnet18"


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model folder"):
        bundle.load_card(tmp_path)


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(ModelError, match="--resume"):
        bundle.load_card(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 99),
        ("classes", ["one"]),
        ("classes", [1, 2]),
        ("image", {"size_px": -1}),
        ("classes", ["a", "a"]),
        ("classes", ["a", "b\x1b[2J"]),
        ("image", {"unknown": 1}),
        ("image", {"window": 3}),
        ("image", {"size_px": "64"}),
        ("image", {"size_px": True}),
        ("mean", [0, 0]),
        ("std", [0, 1, 1]),
        ("std", ["a", "b", "c"]),
        ("std", [1e-300, 1, 1]),
        ("mean", [1e300, 0, 0]),
        ("mean", [float("nan"), 0, 0]),
        ("files", {"a": 1}),
        ("marks", None),
        ("marks", [1]),
    ],
)
def test_a_card_that_does_not_follow_its_schema_is_refused(folder: Path, field: str, value: object) -> None:
    content = json.loads((folder / "model.json").read_text())
    content[field] = value
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"model\.json cannot be used"):
        bundle.load_card(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"schema": 1}', "[" * 100_000])
def test_a_card_that_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json cannot be used"):
        bundle.load_card(folder)


def test_the_bytes_that_were_verified_are_the_bytes_that_are_given(folder: Path) -> None:
    card = bundle.load_card(folder, verify=())
    assert bundle.read_verified(folder, "model.onnx", card.files) == b"network"
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match="has changed"):
        bundle.read_verified(folder, "model.onnx", card.files)


def test_a_card_cannot_point_outside_its_folder(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    content["files"]["../secret"] = "0" * 64
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="does not vouch"):
        bundle.load_card(folder)


def test_resume_state_reads_back_equal(tmp_path: Path) -> None:
    assert bundle.load_resume(tmp_path) is None
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7, dtype=np.int64)}
    bundle.save_resume(tmp_path, arrays, history="epoch\n1\n")
    found = bundle.load_resume(tmp_path)
    assert found is not None
    assert found[1] == "epoch\n1\n"
    assert found[0]["step"].shape == ()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[0][name], array)


def test_a_broken_state_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / bundle.RESUME).write_bytes(b"not safetensors at all")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        bundle.load_resume(tmp_path)
