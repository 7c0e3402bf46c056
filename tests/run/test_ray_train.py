from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from overread.errors import SettingsError
from overread.model import bundle
from overread.run import ray_cluster
from overread.run.job import Job
from overread.run.ray_train import train_by_ray, train_side_by_side
from overread.training.history import History

TIMEOUT_S = 400
SMALL = [
    "--backbone", "test_resnet", "--weights", "none", "--epochs", "3", "--batch-size", "8", "--size-px", "32",
    "--device", "cpu", "--workers", "0", "--learning-rate", "1e-4",
    "--precision", "float32", "--patient-regex", r"/(\w\d)-", "--no-audit",
]  # fmt: skip
with_ray = pytest.mark.skipif(
    not (ray_cluster.has("ray") and ray_cluster.has("pyarrow")), reason="Ray is not installed"
)


def start(source: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "overread", "train", str(source), *SMALL, "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=out.parent
    )


def finish(process: subprocess.Popen[str]) -> str:
    said, fault = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, said + fault
    return said


@with_ray
@pytest.mark.slow
def test_workers_of_ray_learn_what_one_process_does_though_one_is_killed(
    cohort_folder: Path, busy_below: Callable[..., int], tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(cohort_folder, one))
    process = start(cohort_folder, two, "--ray", "2")
    while not (two / bundle.RESUME).exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(busy_below(process, "TrainWorker", after_s=1), signal.SIGKILL)
    said = finish(process)
    assert "Do not believe it" in said  # the verdict, as without Ray
    first, second = bundle.load_weights(one), bundle.load_weights(two)
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], atol=1e-4, err_msg=name)
    histories = [History.from_csv((run / "history.csv").read_text()) for run in (one, two)]
    for row, other in zip(*histories, strict=True):
        assert row.val_loss == pytest.approx(other.val_loss, abs=1e-5)


@with_ray
@pytest.mark.slow
def test_folds_side_by_side_are_those_one_after_the_other(cohort_folder: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(cohort_folder, one, "--folds", "3", "--epochs", "1"))
    said = finish(start(cohort_folder, two, "--folds", "3", "--epochs", "1", "--ray", "2"))
    assert "fold-3: epoch 1" in said
    for name in ("folds.csv", "predictions.csv", "metrics.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


@with_ray
@pytest.mark.slow
def test_a_refusal_in_a_worker_is_said_in_words(cohort_folder: Path, tmp_path: Path) -> None:
    process = start(cohort_folder, tmp_path / "run", "--ray", "2", "--positive", "nonsense")
    _, fault = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert "overread: --positive nonsense is not a class" in fault
    assert "Traceback" not in fault


def test_without_ray_it_says_what_to_do(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "has", lambda name: name != "ray")
    with pytest.raises(SettingsError, match="--ray needs ray"):
        train_by_ray(job, n_workers=2)
    with pytest.raises(SettingsError, match="--ray needs ray"):
        train_side_by_side({"a": job}, n_workers=2)
