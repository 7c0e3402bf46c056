"""Small folders of phantom patients, each made once for all tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom.dataset import FileDataset

from overread.data.phantom import FLAWS, PatientTruth, PhantomSettings, PhantomTruth, SliceTruth, make_phantoms


@dataclass(frozen=True, kw_only=True)
class Made:
    """A folder of phantoms and its truth."""

    folder: Path
    truth: PhantomTruth

    def file(self, path: str) -> FileDataset:
        return pydicom.dcmread(self.folder / path)

    def hu(self, path: str) -> NDArray[np.float64]:
        image = self.file(path)
        return image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)

    def mask(self, one: SliceTruth) -> NDArray[np.bool_]:
        assert one.mask is not None
        return np.asarray(Picture.open(self.folder / one.mask)).astype(bool)

    def patient(self, identifier: str) -> PatientTruth:
        return next(patient for patient in self.truth.patients if patient.id == identifier)

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.dcm"))


def make(folder: Path, **settings: object) -> Made:
    return Made(folder=folder, truth=make_phantoms(folder, PhantomSettings(**settings), workers=0))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nine heads: each class on each scanner."""
    return make(tmp_path_factory.mktemp("made") / "heads", patients=9, slices=2, size_px=128, seed=3)


@pytest.fixture(scope="session")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nine chests: each class on each scanner."""
    return make(tmp_path_factory.mktemp("made") / "chests", body="chest", patients=9, slices=2, size_px=128, seed=3)


@pytest.fixture(scope="session")
def flawed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Fifteen heads with all faults at once."""
    folder = tmp_path_factory.mktemp("made") / "flawed"
    return make(folder, patients=15, slices=2, size_px=96, flaws=",".join(FLAWS))


@pytest.fixture(params=["heads", "chests"])
def made(request: pytest.FixtureRequest) -> Made:
    """Both parts of the body in turn."""
    found: Made = request.getfixturevalue(request.param)
    return found
