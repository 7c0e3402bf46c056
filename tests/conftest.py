"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PATIENTS_A_CLASS = 6
IMAGES_A_PATIENT = 4


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights; tests that measure on them skip where it is absent."""
    folder = Path(os.environ.get("OVERREAD_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"the real data are not here ({folder.name}/data); set OVERREAD_SHARED to their folder")
    return folder


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
