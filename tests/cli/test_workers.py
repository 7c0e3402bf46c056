"""`overread train` under torchrun, as a person starts it."""

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

from overread.model import bundle
from overread.run.outputs import read_outcome
from overread.training.history import History

pytestmark = pytest.mark.slow
TIMEOUT_S = 240
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]


def command(source: Path, out: Path, tiny: list[str], *more: str) -> list[str]:
    # batches are few and steps small: what is compared is one training, not how chance grows in it
    small = ["--epochs", "3", "--learning-rate", "1e-4", "--precision", "float32", "--patient-regex", r"/(\w\d)-"]
    return [*TORCHRUN, *more, "-m", "overread", "train", str(source), *tiny, *small, "--out", str(out)]


def is_same(one: Path, two: Path) -> bool:
    first, second = bundle.load_weights(one), bundle.load_weights(two)
    return all(np.allclose(first[name], second[name], atol=1e-4) for name in first)


@pytest.fixture(scope="module")
def alone(cohort_folder: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    words = command(cohort_folder, out, tiny)[len(TORCHRUN) :]
    subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=TIMEOUT_S)
    return out


def test_two_workers_make_the_same_model_folder(
    alone: Path, cohort_folder: Path, tiny: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = subprocess.run(
        command(cohort_folder, out, tiny), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Reading the result a second time") == 1
    assert is_same(out, alone)
    assert {path.name for path in out.iterdir()} == {path.name for path in alone.iterdir()}
    found, wanted = read_outcome(out), read_outcome(alone)
    for row, other in zip(found.history, wanted.history, strict=True):
        assert row.train_loss == pytest.approx(other.train_loss, abs=1e-5)
        assert row.val_loss == pytest.approx(other.val_loss, abs=1e-5)


def worker(torchrun: int, rank: int) -> int | None:
    """The process of a worker that torchrun has started."""
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        if f"RANK={rank}\0".encode() in Path(f"/proc/{child}/environ").read_bytes().replace(b"_RANK", b""):
            return int(child)
    return None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_is_killed_is_started_again(
    rank: int, alone: Path, cohort_folder: Path, tiny: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = command(cohort_folder, out, tiny, "--max-restarts", "1")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ends = time.monotonic() + TIMEOUT_S
    while not (out / bundle.RESUME).exists() and time.monotonic() < ends:
        time.sleep(0.002)
    victim = worker(process.pid, rank)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, said
    assert is_same(out, alone)
    history = History.from_csv((out / "history.csv").read_text())
    assert [row.epoch for row in history] == [1, 2, 3]


def test_what_is_wrong_is_said_once_and_all_end(tiny: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "nowhere", tmp_path / "run", tiny),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("overread: ") == 1, done.stderr
    assert "nowhere" in done.stderr


def test_a_restart_must_find_its_run(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, cohort_folder: Path
) -> None:
    told = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in {**told, "TORCHELASTIC_MAX_RESTARTS": "3"}.items():
        monkeypatch.setenv(name, value)
    assert "--out" in refusal("train", cohort_folder)
    assert "work of one process" in refusal("show", "resnet18")
