"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overread.evaluate.calibrate import fit_caution
from overread.evaluate.predictions import Predictions
from overread.model.caution import Caution
from overread.run import bench_reading, limits

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


@pytest.fixture(scope="module")
def small_bench() -> Iterator[None]:
    """Small matrices, arrays and phantoms for `overread bench`, one core and no GPU: seconds instead of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "ROUND_S", 0.001)
        patch.setattr(limits, "SIDE", 256)
        patch.setattr(limits, "COPIED_BYTES", 2**20)
        patch.setattr(bench_reading, "PHANTOM_PX", 64)
        patch.setattr(limits, "has_gpu", lambda: False)
        patch.setattr(limits, "n_cores", lambda: 1)
        patch.setattr(limits, "busy", lambda: None)
        yield


def make_predictions(
    classes: tuple[str, ...] = ("normal", "tumor"),
    *,
    parts: Mapping[str, int] | None = None,
    images_each: int = 2,
    known: bool = True,
    skill: float = 1.5,
    facts: Mapping[str, tuple[str, ...]] | None = None,
    seed: int = 0,
) -> tuple[Predictions, Caution]:
    """What a network of some skill would say of random patients, and the caution that is fitted to that.

    parts: patients in each. images_each: at most, of a patient, who has one class. facts: the values to draw from.
    """
    rng = np.random.default_rng(seed)
    sizes = dict(parts or {"val": 40, "calibrate": 60, "test": 60})
    n = sum(sizes.values())
    many = rng.integers(1, images_each + 1, n)
    of = np.repeat(np.arange(n), many)
    truth = np.concatenate([np.arange(size) % len(classes) for size in sizes.values()])[of]
    part = np.repeat(list(sizes), list(sizes.values()))[of]
    alike = rng.normal(size=(n, len(classes)))[of]
    logits = skill * np.eye(len(classes))[truth] + alike + 0.7 * rng.normal(size=(of.size, len(classes)))
    distance = rng.gamma(3, size=n)[of] + rng.gamma(2, size=of.size)
    patients = tuple(f"{i:08x}" if known else None for i in of)
    fitted_on = part == ("calibrate" if "calibrate" in sizes else "val")
    caution = fit_caution(
        truth[fitted_on], logits[fitted_on], [p for p, on in zip(patients, fitted_on, strict=True) if on],
        classes=classes, part="calibrate" if "calibrate" in sizes else "val", distance=distance[fitted_on],
    )  # fmt: skip
    drawn = {name: rng.choice(values, n)[of] for name, values in (facts or {}).items()}
    found = Predictions(
        paths=tuple(f"{i}/{place}.png" for place, i in enumerate(of)),
        frames=(0,) * of.size,
        patients=patients,
        truth=truth.astype(np.int64),
        probabilities=caution.probabilities(logits),
        parts=tuple(part.tolist()),
        classes=classes,
        distance=distance,
        facts={name: tuple(values.tolist()) for name, values in drawn.items()},
    )
    return found, caution
