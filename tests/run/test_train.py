from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overread.errors import BadInputsError, ModelError, OverreadError, RunError, SettingsError, SplitError
from overread.model import bundle
from overread.model.session import open_session
from overread.predict import Predictor
from overread.run.job import Job, check_free, claimed, write_record
from overread.run.outputs import read_outcome
from overread.run.train import resume, train
from overread.training.history import EpochRow
from overread.training.loop import Trainer
from overread.training.watch import Silent


class Recorder(Silent):
    """Keeps what it is told, and stops after an epoch if asked to, as Ctrl-C does."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.sentences: list[str] = []
        self.rows: list[EpochRow] = []
        self.stop_after = stop_after

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.rows.append(row)
        if row.epoch == self.stop_after:
            raise KeyboardInterrupt


def weights_of(folder: Path) -> str:
    return bundle.hash_file(folder / bundle.WEIGHTS)


def test_a_run_leaves_a_whole_model_folder(finished: Job) -> None:
    job, outcome = finished, read_outcome(finished.out)
    for name in (
        "model.json", "weights.safetensors", "model.onnx", "metrics.json", "training.json", "history.csv",
        "split.csv", "predictions.csv",
    ):  # fmt: skip
        assert (job.out / name).is_file(), name
    assert len(list((job.out / "figures").glob("*.png"))) >= 4
    assert not (job.out / "resume.safetensors").exists()
    assert not [p.name for p in job.out.iterdir() if p.name.startswith(".")]
    assert len(outcome.history) == 3
    assert outcome.score.n_patients is not None


def test_a_network_that_cannot_be_exported_is_not_trained(job: Job) -> None:
    fixed_size = dataclasses.replace(job.train, backbone="vit_tiny_patch16_224")
    with pytest.raises(ModelError, match="does not take images of 64 x 64 pixels"):
        train(dataclasses.replace(job, train=fixed_size))
    assert not (job.out / "history.csv").exists()


def test_no_patient_is_in_two_parts_and_none_is_named(finished: Job) -> None:
    job = finished
    with (job.out / "split.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["patient"], set()).add(row["split"])
    assert len(parts) == 12
    assert all(len(found) == 1 for found in parts.values())
    assert all(len(patient) >= 8 for patient in parts)  # a hash, not "d3"


def test_predictions_by_onnx_are_those_of_torch(finished: Job) -> None:
    job = finished
    with (job.out / "predictions.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    predictor = Predictor(job.out)
    found = list(predictor.predict_files([job.source / row["path"] for row in rows]))
    assert len(found) == len(rows) > 8
    for row, prediction in zip(rows, found, strict=True):
        assert prediction.label == row["predicted"]
        for name, probability in prediction.probabilities.items():
            assert probability == pytest.approx(float(row[f"probability {name}"]), abs=1e-4)


def test_the_network_has_three_outputs(finished: Job) -> None:
    job = finished
    session = open_session((job.out / "model.onnx").read_bytes(), name="model.onnx")
    assert list(session.gives) == ["logits", "features", "class_maps"]


def test_two_runs_are_equal_bit_for_bit_whatever_the_workers(job: Job, finished: Job) -> None:
    train(dataclasses.replace(job, workers=2))
    for name in (bundle.WEIGHTS, "predictions.csv", "metrics.json", "split.csv"):
        assert (job.out / name).read_bytes() == (finished.out / name).read_bytes(), name


def test_another_seed_is_another_run(job: Job, finished: Job) -> None:
    train(dataclasses.replace(job, train=dataclasses.replace(job.train, seed=1)))
    assert weights_of(job.out) != weights_of(finished.out)
    assert (job.out / "split.csv").read_bytes() != (finished.out / "split.csv").read_bytes()


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(job: Job, finished: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job, watch=Recorder(stop_after=2))
    assert (job.out / bundle.WEIGHTS).exists()
    watch = Recorder()
    again = resume(job.out, watch=watch)
    assert [row.epoch for row in watch.rows] == [3]
    assert weights_of(job.out) == weights_of(finished.out)
    assert again.figures() == pytest.approx(read_outcome(finished.out).figures(), abs=0, nan_ok=True)


def test_a_stopped_run_can_be_ended_as_it_is(job: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job, watch=Recorder(stop_after=1))
    outcome = resume(job.out, finish=True)
    assert len(outcome.history) == 1
    assert outcome.card.best_epoch == 1


def test_nothing_can_be_ended_before_an_epoch_has(job: Job) -> None:
    class StopsEarly(Silent):
        def step(self, what: str, done: int, total: int) -> None:
            if what.startswith("epoch"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job, watch=StopsEarly())
    with pytest.raises(RunError, match="No epoch"):
        resume(job.out, finish=True)
    assert len(resume(job.out).history) == 3


def test_a_finished_run_is_not_trained_again(finished: Job) -> None:
    before = weights_of(finished.out)
    watch = Recorder()
    resume(finished.out, watch=watch)
    assert not watch.rows
    assert weights_of(finished.out) == before
    with pytest.raises(RunError, match="holds a finished run"):
        train(finished)


def test_a_folder_with_other_things_in_it_is_left_alone(job: Job) -> None:
    job.out.mkdir()
    (job.out / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        train(job)
    assert [p.name for p in job.out.iterdir()] == ["thesis.txt"]


def test_changed_images_are_not_gone_on_with(job: Job, fresh_cohort: Path) -> None:
    job = dataclasses.replace(job, source=fresh_cohort)
    with pytest.raises(KeyboardInterrupt):
        train(job, watch=Recorder(stop_after=1))
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (64, 64), np.uint8)).save(
        fresh_cohort / "disc" / "d0-0.png"
    )
    with pytest.raises(RunError, match="have changed"):
        resume(job.out)


def test_bad_images_stop_the_run_before_training_and_all_are_listed(job: Job, fresh_cohort: Path) -> None:
    (fresh_cohort / "disc" / "d0-0.png").write_bytes(b"")
    (fresh_cohort / "disc" / "d0-1.png").write_text("this is a text file that was renamed")
    whole = (fresh_cohort / "square" / "s0-0.png").read_bytes()
    (fresh_cohort / "square" / "s0-0.png").write_bytes(whole[: len(whole) // 2])
    job = dataclasses.replace(job, source=fresh_cohort)
    with pytest.raises(BadInputsError, match="--skip-bad") as caught:
        train(job)
    for name in ("d0-0.png", "d0-1.png", "s0-0.png"):
        assert name in str(caught.value)
    assert not (job.out / bundle.WEIGHTS).exists()

    train(dataclasses.replace(job, skip_bad=True))
    with (job.out / "skipped.csv").open() as stream:
        skipped = {row["path"]: row["kind"] for row in csv.DictReader(stream)}
    assert skipped == {
        "disc/d0-0.png": "empty",
        "disc/d0-1.png": "not-an-image",
        "square/s0-0.png": "truncated",
    }
    with (job.out / "split.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 45


def test_unknown_patients_mark_every_output(job: Job) -> None:
    job = dataclasses.replace(job, cohort=dataclasses.replace(job.cohort, patient_regex=None))
    outcome = train(job)
    assert any("patients unknown" in mark for mark in outcome.card.marks)
    assert outcome.score.n_patients is None
    assert json.loads((job.out / "model.json").read_text())["marks"] == list(outcome.card.marks)


def test_a_split_by_image_is_marked(job: Job) -> None:
    job = dataclasses.replace(job, train=dataclasses.replace(job.train, split="image"))
    assert any("split by image" in mark for mark in train(job).card.marks)


def test_one_patient_a_class_is_refused_before_anything_is_written(job: Job) -> None:
    job = dataclasses.replace(job, cohort=dataclasses.replace(job.cohort, patient_regex=r"/(\w)\d-"))
    with pytest.raises(SplitError, match="--split image"):
        train(job)
    assert not job.out.exists()


def test_early_stopping_keeps_to_its_patience(job: Job) -> None:
    settings = dataclasses.replace(
        job.train, epochs=40, patience=2, learning_rate=1e-8, head_rate=1.0, select="val_accuracy"
    )
    outcome = train(dataclasses.replace(job, train=settings))
    assert len(outcome.history) == outcome.card.best_epoch + 2 < 40


def test_a_gpu_that_is_not_there_is_said_before_training(job: Job) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    job = dataclasses.replace(job, train=dataclasses.replace(job.train, device="cuda"))
    with pytest.raises(SettingsError, match="no GPU"):
        train(job)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": "resnet81"}, "resnet81"),
        ({"weights": "no-such.safetensors"}, "no-such"),
        ({"positive": "circle"}, "--positive circle is not a class"),
    ],
)
def test_a_refused_run_can_be_tried_again_in_the_same_folder(changes: dict[str, str], said: str, job: Job) -> None:
    with pytest.raises(OverreadError, match=said):
        train(dataclasses.replace(job, train=dataclasses.replace(job.train, **changes)))
    check_free(job.out)


def test_a_loss_that_is_no_number_leaves_the_folder_free(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_step", lambda *_: (float("nan"), 0))
    with pytest.raises(RunError, match="Lower --learning-rate"):
        train(job)
    check_free(job.out)


def test_a_positive_class_is_for_two_classes(job: Job, fresh_cohort: Path) -> None:
    shutil.copytree(fresh_cohort / "disc", fresh_cohort / "ring")
    for path in (fresh_cohort / "ring").iterdir():
        path.rename(path.with_name(f"r{path.name[1:]}"))
    settings = dataclasses.replace(job.train, positive="disc", split="image")
    with pytest.raises(SettingsError, match="--positive disc is for two classes, and there are 3"):
        train(dataclasses.replace(job, source=fresh_cohort, train=settings))


def test_a_run_that_is_going_on_elsewhere_is_told_of(job: Job) -> None:
    with claimed(job.out):
        write_record(job)
        with pytest.raises(RunError, match="is in use"):
            train(job)


@pytest.mark.parametrize("record", ["", "[]", '{"schema": 2}', '{"schema": 1, "source": 3}', "[" * 100_000])
def test_a_record_that_cannot_be_read_is_said(record: str, job: Job) -> None:
    job.out.mkdir()
    (job.out / "training.json").write_text(record)
    with pytest.raises(RunError, match=r"training\.json cannot be read"):
        resume(job.out)
