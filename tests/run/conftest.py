"""A small cohort on disk whose classes can be learnt in seconds, and a job on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overread.data.cohort import CohortSettings
from overread.run.job import Job
from overread.run.train import train
from overread.settings import ImageSettings, recipe_settings

PATIENTS_A_CLASS = 6
IMAGES_A_PATIENT = 4
TINY = "test_resnet"
"""timm's network for tests: 0.3 million parameters"""


def write_cohort(folder: Path) -> Path:
    """48 pictures, 12 patients: a disc in `disc`, a square of the same area and brightness in `square`."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    for label in ("disc", "square"):
        (folder / label).mkdir(parents=True)
        for patient in range(PATIENTS_A_CLASS):
            for number in range(IMAGES_A_PATIENT):
                y, x = rng.uniform(20, 44, 2)
                if label == "disc":
                    inside = (rows - y) ** 2 + (columns - x) ** 2 < 11.28**2
                else:
                    inside = (abs(rows - y) < 10) & (abs(columns - x) < 10)
                pixels = 60 + 100 * inside + rng.normal(0, 12, (64, 64))
                name = f"{label[0]}{patient}-{number}.png"
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / name)
    return folder


@pytest.fixture
def fresh_cohort(tmp_path: Path) -> Path:
    """A copy of the cohort that a test may change."""
    return write_cohort(tmp_path / "shapes")


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort") / "shapes")


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
