"""Faults of files, planted into DICOM series: what an export, an anonymiser or a disk does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

Change = Callable[[pydicom.Dataset, Path], None]


@dataclass(frozen=True)
class Fault:
    """One fault, and the check that should name the files that have it."""

    name: str
    code: str
    change: Change


def _hounsfield(dataset: pydicom.Dataset) -> NDArray[np.float64]:
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def _store(dataset: pydicom.Dataset, hu: NDArray[np.float64]) -> None:
    stored = (hu - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope)
    dataset.PixelData = stored.round().astype(dataset.pixel_array.dtype).tobytes()
    dataset.Rows, dataset.Columns = hu.shape


def _air(dataset: pydicom.Dataset, path: Path) -> None:
    _store(dataset, np.random.default_rng(0).normal(-1000, 4, dataset.pixel_array.shape))


def _even(dataset: pydicom.Dataset, path: Path) -> None:
    _store(dataset, np.full(dataset.pixel_array.shape, 40.0))


def _two_levels(dataset: pydicom.Dataset, path: Path) -> None:
    _store(dataset, np.where(_hounsfield(dataset) > 30, 3000.0, -1000.0))


def _no_units(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.Modality = "OT"
    del dataset.RescaleSlope, dataset.RescaleIntercept


def _cut(dataset: pydicom.Dataset, path: Path) -> None:
    _store(dataset, _hounsfield(dataset).clip(-100, 150))


def _border(dataset: pydicom.Dataset, path: Path) -> None:
    small = _hounsfield(dataset)[::2, ::2]
    framed = np.full(dataset.pixel_array.shape, -1000.0)
    top, left = ((a - b) // 2 for a, b in zip(framed.shape, small.shape, strict=True))
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    _store(dataset, framed)


def _coarse(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.PixelSpacing = [2 * float(value) for value in dataset.PixelSpacing]
    _store(dataset, _hounsfield(dataset)[::2, ::2])


def _no_intercept(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.RescaleIntercept = float(dataset.RescaleIntercept) + 1024


def _localiser(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def _other_modality(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.Modality = "MR"


def _says_burnt_in(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.BurnedInAnnotation = "YES"


def _named(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.PatientName = "Doe^Jane"
    dataset.ReferringPhysicianName = "House^Gregory"


def _born(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.PatientBirthDate = "19610203"


def _private(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.private_block(0x0019, "ORBIS", create=True).add_new(0x01, "LO", "seen in ward 7")


FAULTS = (
    Fault("air alone", "Q02", _air),
    Fault("one value alone", "Q02", _even),
    Fault("another modality", "Q03", _other_modality),
    Fault("localisers", "Q03", _localiser),
    Fault("text, says header", "Q04", _says_burnt_in),
    Fault("no units", "Q05", _no_units),
    Fault("half resolution", "Q06", _coarse),
    Fault("black and white", "Q07", _two_levels),
    Fault("wide border", "Q08", _border),
    Fault("cut to a window", "Q09", _cut),
    Fault("no intercept", "Q09", _no_intercept),
    Fault("names", "P01", _named),
    Fault("birth date", "P02", _born),
    Fault("private tags", "P04", _private),
    Fault("cut-off files", "Q01", lambda dataset, path: None),
)


def plant(
    images: Path, faults: Sequence[Fault], patients_each: int, rng: np.random.Generator
) -> dict[str, list[str]]:
    """Give each fault to patients of its own, all their slices, in place: the files of each fault, by its name."""
    folders = sorted({path.parent.parent for path in images.rglob("*.dcm")})
    order = rng.permutation(len(folders))
    planted = {}
    for number, fault in enumerate(faults):
        chosen = [folders[at] for at in order[number * patients_each : (number + 1) * patients_each]]
        files = sorted(path for folder in chosen for path in folder.rglob("*.dcm"))
        for path in files:
            _spoil(path, fault)
        planted[fault.name] = [path.relative_to(images).as_posix() for path in files]
    return planted


def _spoil(path: Path, fault: Fault) -> None:
    if fault.name == "cut-off files":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return
    dataset = pydicom.dcmread(path)
    fault.change(dataset, path)
    dataset.save_as(path)


def named(where: Sequence[str], files: Sequence[str]) -> int:
    """How many of these files a finding names."""
    told = set(where)
    return sum(file in told for file in files)
