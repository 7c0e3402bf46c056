from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError, RunError, SettingsError
from overread.evaluate.predictions import read_predictions
from overread.model import bundle
from overread.predict import Predictor
from overread.run.explain import Explainer, ExplainSettings
from overread.run.job import Job, read_record
from overread.run.quantize import Quantization, Quantized, quantize_model
from overread.run.replay import replay
from overread.run.train import resume


@pytest.fixture(scope="module")
def done(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    out = tmp_path_factory.mktemp("quantized") / "small"
    return quantize_model(Quantization(model=finished.out, out=out, lose_at_most=0.5))


def test_a_whole_model_folder_comes_out_without_torch_s_weights(finished: Job, done: Quantized) -> None:
    card = bundle.load_card(done.outcome.folder)
    kept = {path.name for path in finished.out.iterdir()} - {bundle.WEIGHTS}
    assert {path.name for path in done.outcome.folder.iterdir()} == kept
    assert card.files[bundle.NETWORK] != bundle.load_card(finished.out).files[bundle.NETWORK]
    assert done.n_bytes[1] < done.n_bytes[0]
    assert min(done.images_per_second) > 0
    report = (done.outcome.folder / "report.html").read_text()
    assert f"8-bit integers, from {finished.out.name}" in report
    assert "overread replay" not in report


def test_its_figures_are_those_of_the_small_network(finished: Job, done: Quantized) -> None:
    folder = done.outcome.folder
    with (folder / "predictions.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    files = [finished.source / row["path"] for row in rows]
    small, plain = (list(Predictor(of).predict_files(files)) for of in (folder, finished.out))
    for row, ours, theirs in zip(rows, small, plain, strict=True):
        for name, probability in ours.probabilities.items():
            assert probability == pytest.approx(float(row[f"probability {name}"]), abs=1e-6)
        assert ours.probabilities != theirs.probabilities
    first, second = (read_predictions(of / "predictions.csv").part("val") for of in (finished.out, folder))
    assert first.paths == second.paths
    assert not np.array_equal(first.probabilities, second.probabilities)


def test_what_is_lost_is_told_with_its_images_and_patients(done: Quantized) -> None:
    assert done.lost.part == "val"
    assert done.lost.n_patients == 4
    assert done.lost.low <= done.lost.value <= done.lost.high
    assert 0 <= done.auroc_before <= 1


def test_too_much_lost_is_refused_and_leaves_nothing(
    finished: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overread.run import quantize as module

    found = module.auroc_lost
    monkeypatch.setattr(module, "auroc_lost", lambda *a, **k: dataclasses.replace(found(*a, **k), value=0.2))
    with pytest.raises(RunError, match=r"loses 0\.200 of its AUROC in validation .*at most 0\.01 is allowed"):
        quantize_model(Quantization(model=finished.out, out=tmp_path / "small"))
    assert list(tmp_path.iterdir()) == []


def test_other_images_than_those_of_the_training_are_refused(
    fresh_cohort: Path, finished: Job, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(finished.out, model)
    record = json.loads((model / "training.json").read_text())
    record["source"] = str(fresh_cohort)
    (model / "training.json").write_text(json.dumps(record))
    card = bundle.load_card(model, verify=())
    bundle.seal(model, card)
    image = next((fresh_cohort / "disc").iterdir())
    other = next((fresh_cohort / "square").iterdir())
    image.write_bytes(other.read_bytes())
    with pytest.raises(RunError, match="have changed since"):
        quantize_model(Quantization(model=model, out=tmp_path / "small"))
    assert not (tmp_path / "small").exists()


def test_what_needs_torch_s_weights_names_the_model_that_has_them(
    finished: Job, done: Quantized, tmp_path: Path
) -> None:
    folder = done.outcome.folder
    assert read_record(folder)[0].quantized == finished.out.name
    with pytest.raises(ModelError, match="Use the model that it was made from"):
        Explainer(folder, ExplainSettings(method="grad-cam"))
    with pytest.raises(RunError, match="Replay that one"):
        replay(folder, out=tmp_path / "again", workers=1)
    with pytest.raises(RunError, match="is no training"):
        resume(folder)
    with pytest.raises(RunError, match="in 8 bits already"):
        quantize_model(Quantization(model=folder, out=tmp_path / "twice"))


@pytest.mark.parametrize(("given", "flag"), [({"lose_at_most": -0.1}, "lose-at-most"), ({"n_images": 2}, "images")])
def test_settings_out_of_range_are_refused(given: dict[str, float], flag: str) -> None:
    with pytest.raises(SettingsError, match=flag):
        Quantization(model=Path("m"), out=Path("o"), **given)  # type: ignore[arg-type]
