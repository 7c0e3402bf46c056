from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from overread.errors import RunError, WeightsError
from overread.model import bundle
from overread.run import many
from overread.run.job import CACHE, Job
from overread.run.outputs import read_outcome
from overread.training.history import EpochRow
from overread.training.watch import Silent


class Interrupts(Silent):
    """Stops the work after an epoch of the second run, as Ctrl-C does, and counts the epochs until then."""

    def __init__(self, *, armed: bool) -> None:
        self.armed, self.runs, self.epochs = armed, 0, 0

    def say(self, sentence: str) -> None:
        self.runs += sentence.startswith("Run ")

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.epochs += 1
        if self.armed and self.runs == 2:
            raise KeyboardInterrupt


@pytest.fixture
def short(job: Job) -> Job:
    return dataclasses.replace(job, train=dataclasses.replace(job.train, epochs=2))


def test_seeds_go_up_from_the_job_s_own(job: Job) -> None:
    job = dataclasses.replace(job, train=dataclasses.replace(job.train, seed=7))
    jobs = many.by_seed(job, 3)
    assert {name: one.train.seed for name, one in jobs.items()} == {"seed-7": 7, "seed-8": 8, "seed-9": 9}
    assert len({dataclasses.replace(one.train, seed=0) for one in jobs.values()}) == 1


def test_networks_share_all_but_their_name(job: Job) -> None:
    jobs = many.by_backbone(job, ["resnet18", "vgg16"])
    assert {name: one.train.backbone for name, one in jobs.items()} == {"resnet18": "resnet18", "vgg16": "vgg16"}
    assert len({dataclasses.replace(one.train, backbone="auto") for one in jobs.values()}) == 1


def test_several_runs_are_as_each_alone_and_are_gone_on_with(short: Job, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    jobs = many.by_seed(short, 2)
    with pytest.raises(KeyboardInterrupt):
        many.run_all(jobs, out=out, watch=Interrupts(armed=True))
    assert (out / CACHE).is_dir()  # the images are decoded once for all

    watch = Interrupts(armed=False)
    outcomes = many.run_all(jobs, out=out, watch=watch)
    assert watch.epochs == 1  # the last one of the second run
    assert not (out / CACHE).exists()
    assert list(outcomes) == ["seed-0", "seed-1"]

    alone = many.run_all({"seed-1": jobs["seed-1"]}, out=tmp_path / "alone")["seed-1"]
    assert alone.figures() == pytest.approx(outcomes["seed-1"].figures(), nan_ok=True)
    assert alone.card.files[bundle.WEIGHTS] == outcomes["seed-1"].card.files[bundle.WEIGHTS]
    assert read_outcome(out / "seed-0").figures() == pytest.approx(outcomes["seed-0"].figures(), nan_ok=True)

    with (out / many.TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["run"] for row in rows] == ["seed-0", "seed-1"]
    for row, outcome in zip(rows, outcomes.values(), strict=True):
        assert {name: float(row[name]) for name in outcome.figures()} == pytest.approx(outcome.figures(), nan_ok=True)

    other = {name: dataclasses.replace(one, skip_bad=True) for name, one in jobs.items()}
    with pytest.raises(RunError, match="holds a run with other settings"):
        many.run_all(other, out=out)


def test_a_folder_with_other_things_in_it_is_left_alone(short: Job, tmp_path: Path) -> None:
    for name in (CACHE, "letters"):
        (tmp_path / "home" / name).mkdir(parents=True)
    with pytest.raises(RunError, match=r"holds other things than runs \(letters\)"):
        many.run_all(many.by_seed(short, 2), out=tmp_path / "home")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == [CACHE, "letters"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"):
        many.run_all(many.by_seed(short, 2), out=tmp_path / "file")


def test_missing_weights_are_found_before_any_run(job: Job, tmp_path: Path) -> None:
    missing = dataclasses.replace(job, train=dataclasses.replace(job.train, weights=str(tmp_path / "none.pth")))
    with pytest.raises(WeightsError, match=r"none\.pth"):
        many.check_weights(many.by_backbone(missing, ["resnet18", "resnet50"]))
