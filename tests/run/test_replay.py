from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from overread.errors import ModelError, RunError
from overread.run.job import Job
from overread.run.replay import replay
from overread.run.train import train
from overread.training.watch import Silent


class Stops(Silent):
    def epoch(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_a_run_is_the_same_bit_for_bit_whatever_the_workers(finished: Job, tmp_path: Path) -> None:
    found = replay(finished.out, out=tmp_path / "again", workers=2)
    assert found.same
    assert found.same_data
    assert found.same_weights
    assert found.same_history
    assert found.differing == {}
    assert found.elsewhere == ()


def test_changed_images_are_told_of(job: Job, fresh_cohort: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(job.train, epochs=1)
    job = dataclasses.replace(job, source=fresh_cohort, train=short)
    train(job)
    for path in (fresh_cohort / "disc").iterdir():
        ImageOps.invert(Image.open(path)).save(path)
    found = replay(job.out, out=tmp_path / "again", workers=0)
    assert not found.same
    assert not found.same_data
    assert not found.same_weights
    assert not found.same_history


def test_a_run_that_has_not_ended_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job, watch=Stops())
    with pytest.raises(RunError, match="has not ended"):
        replay(job.out, out=tmp_path / "again", workers=0)
    assert not (tmp_path / "again").exists()


def test_a_changed_record_of_the_result_is_refused(finished: Job, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "run")
    with (tmp_path / "run" / "metrics.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(ModelError, match=r"metrics\.json"):
        replay(tmp_path / "run", out=tmp_path / "again", workers=0)
    with pytest.raises(RunError, match="holds no run"):
        replay(tmp_path, out=tmp_path / "again", workers=0)
