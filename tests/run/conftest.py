"""A job on the small cohort, and the same job when it has ended."""

from __future__ import annotations

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
