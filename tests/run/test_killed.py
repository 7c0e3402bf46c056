"""A run that is killed, at any moment, goes on and ends bit-equal to one that was not."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from overread.model import bundle
from overread.run.job import Job
from overread.run.train import resume

pytestmark = pytest.mark.slow
TIMEOUT_S = 120


def command(job: Job) -> list[str]:
    flags = {
        "backbone": job.train.backbone, "weights": "none", "epochs": 3, "batch-size": 8, "device": "cpu",
        "learning-rate": 1e-3, "val-fraction": 0.34, "test-fraction": 0.34, "size-px": 64, "workers": 0,
        "patient-regex": job.cohort.patient_regex, "out": job.out,
    }  # fmt: skip
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "overread", "train", str(job.source), *words]


def kill_when(words: list[str], moment: Callable[[], bool]) -> bool:
    """Start a command and kill it at the moment; False where it ended before."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < ends:
        if moment():
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.0005)  # leaves the core to the run that is watched
    process.kill()
    process.wait()
    return False


def being_written(folder: Path, ending: str) -> bool:
    """Whether a temporary file for a name with this ending is there now: a write is under way."""
    try:
        return any(name.startswith(".part-") and name.endswith(ending) for name in os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return False


def hashes(folder: Path) -> dict[str, str]:
    names = (bundle.WEIGHTS, "predictions.csv", "metrics.json", "split.csv")
    return {name: bundle.hash_file(folder / name) for name in names}


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while the images are read": lambda run: (run / "training.json").exists(),
    "while the first weights are written": lambda run: being_written(run, bundle.WEIGHTS),
    "while the first state is written": lambda run: being_written(run, bundle.RESUME),
    "after the first epoch": lambda run: (run / bundle.RESUME).exists(),
    "while the figures are drawn": lambda run: (run / "figures" / "test-images.png").exists(),
    "while the network is exported": lambda run: being_written(run, bundle.NETWORK),
    "while the folder is sealed": lambda run: being_written(run, bundle.CARD),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_ends_as_if_it_had_not_been(moment: str, job: Job, finished: Job) -> None:
    killed = kill_when(command(job), lambda: MOMENTS[moment](job.out))
    if not killed:
        pytest.skip(f"the run ended before it could be caught {moment}")
    resume(job.out)
    assert hashes(job.out) == hashes(finished.out)
    assert not [path.name for path in job.out.iterdir() if path.name.startswith(".")]
    bundle.load_card(job.out)


def test_a_run_killed_again_and_again_ends_the_same(job: Job, finished: Job) -> None:
    words = command(job)
    for wait_s in (0.05, 0.4, 0.9):
        started = time.time()

        def moment(started: float = started, wait_s: float = wait_s) -> bool:
            """Some time after this process, not an earlier one, has written its record."""
            record = job.out / "training.json"
            written = record.stat().st_mtime if record.exists() else 0
            return written > started and time.time() - written > wait_s

        if not kill_when(words, moment):
            break
        words = [sys.executable, "-m", "overread", "train", "--resume", str(job.out), "--workers", "0"]
    resume(job.out)
    assert hashes(job.out) == hashes(finished.out)


def test_a_full_disk_is_a_clear_error_and_the_last_state_stays(job: Job, finished: Job) -> None:
    """A limit on the size of files stands for the disk: the state of the run does not fit, the rest does."""
    state_bytes = (finished.out / bundle.WEIGHTS).stat().st_size * 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (state_bytes, state_bytes))

    done = subprocess.run(
        command(job), capture_output=True, text=True, preexec_fn=limit, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert bundle.load_weights(job.out)  # whole, and of an epoch that ended
    resume(job.out)
    assert hashes(job.out) == hashes(finished.out)


def test_a_second_copy_does_not_write_the_same_run(job: Job) -> None:
    first = subprocess.Popen(command(job), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + TIMEOUT_S
        while not (job.out / "training.json").exists() and time.monotonic() < ends:
            time.sleep(0.005)
        first.send_signal(signal.SIGSTOP)  # or it would have ended before the second has started
        resumed = [sys.executable, "-m", "overread", "train", "--resume", str(job.out)]
        second = subprocess.run(resumed, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert second.returncode == 2
        assert "in use" in second.stderr
    finally:
        first.send_signal(signal.SIGCONT)
        assert first.wait(TIMEOUT_S) == 0


def test_ctrl_c_keeps_the_best_epoch_and_says_how_to_go_on(job: Job, finished: Job) -> None:
    process = subprocess.Popen(command(job), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ends = time.monotonic() + TIMEOUT_S
    while not (job.out / bundle.RESUME).exists() and time.monotonic() < ends:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    if process.returncode == 0:
        pytest.skip("the run ended before it could be interrupted")
    assert process.returncode == 130, said
    assert f"--resume {job.out}" in said
    assert "Traceback" not in said
    assert (job.out / bundle.WEIGHTS).exists()
    resume(job.out)
    assert hashes(job.out) == hashes(finished.out)
