"""A job on the small cohort, and the same job when it has ended."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from overread.data.cohort import CohortSettings
from overread.run.job import Job
from overread.run.train import train
from overread.settings import ImageSettings, recipe_settings

TINY = "test_resnet"
"""timm's network for tests: 0.3 million parameters"""


def make_job(source: Path, out: Path) -> Job:
    """Three short epochs of a tiny network, by patient."""
    return Job(
        source=source,
        out=out,
        train=recipe_settings(
            "default",
            backbone=TINY,
            weights="none",
            epochs=3,
            batch_size=8,
            device="cpu",
            learning_rate=1e-3,
            val_fraction=0.34,
            test_fraction=0.34,
        ),
        image=ImageSettings(size_px=64),
        cohort=CohortSettings(patient_regex=r"/(\w\d)-"),
    )


@pytest.fixture
def job(cohort_folder: Path, tmp_path: Path) -> Job:
    return make_job(cohort_folder, tmp_path / "run")


@pytest.fixture(scope="session")
def finished(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job of a run that has ended. Its folder is read by many tests: none may change it."""
    job = make_job(cohort_folder, tmp_path_factory.mktemp("finished") / "run")
    train(job)
    return job


@pytest.fixture
def busy_below() -> Callable[..., int]:
    """Find a process below one that was started, by its title, once it has computed for so long."""

    def find(process: subprocess.Popen[str], title: str, *, after_s: float, wait_s: float = 240) -> int:
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends and process.poll() is None:
            for pid, seconds in descendants(process.pid).items():
                with suppress(OSError):
                    if seconds > after_s and title in Path(f"/proc/{pid}/cmdline").read_text():
                        return pid
            time.sleep(0.05)
        raise AssertionError(f"no worker was seen; {process.communicate()}")

    return find


def descendants(pid: int) -> dict[int, float]:
    """The processes below one, and the seconds of computing that each has had."""
    parents, seconds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rsplit(")")[-1].split()
            parents[int(folder.name)] = int(fields[1])
            seconds[int(folder.name)] = (int(fields[11]) + int(fields[12])) / 100
    found = [pid]
    for one in found:  # it grows while it is gone through
        found += [child for child, parent in parents.items() if parent == one]
    return {one: seconds.get(one, 0) for one in found[1:]}
