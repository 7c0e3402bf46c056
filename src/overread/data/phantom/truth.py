"""What is known of phantom patients because they were made: the answers to every question."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.data.phantom.settings import PhantomSettings
from overread.errors import CohortError, SettingsError
from overread.settings import from_dict

SCHEMA = 1
FILE_NAME = "truth.json"


@dataclass(frozen=True, kw_only=True)
class LesionTruth:
    """A lesion's place in the scanner's coordinates (x to the left, y to the back, z to the head) and its size."""

    kind: str
    centre_mm: tuple[float, float, float]
    radius_mm: float


@dataclass(frozen=True, kw_only=True)
class SliceTruth:
    """One file, and the mask of what is lesion in it (a black and white PNG; None where nothing is)."""

    path: str
    position_mm: float
    mask: str | None


@dataclass(frozen=True, kw_only=True)
class PatientTruth:
    """One patient. `label` is the folder; `true_label` is what was drawn."""

    id: str
    label: str
    true_label: str
    scanner: str
    kernel: str
    lesions: tuple[LesionTruth, ...]
    slices: tuple[SliceTruth, ...]


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A fault that was planted, and every file and patient that it touches."""

    kind: str
    what: str
    patients: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PhantomTruth:
    """Everything known of a folder of phantom patients. Paths are relative to that folder."""

    settings: PhantomSettings
    classes: tuple[str, ...]
    patients: tuple[PatientTruth, ...]
    flaws: tuple[Flaw, ...]

    def to_json(self) -> str:
        """The text of truth.json."""
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1) + "\n"


def read_truth(folder: str | Path) -> PhantomTruth:
    """Read the truth of the phantom patients in `folder`. CohortError where it is missing or of another version."""
    path = Path(folder) / FILE_NAME
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["schema"] != SCHEMA:
            raise CohortError(
                f"{path.name} has schema {values['schema']}, this version reads {SCHEMA}; make the phantoms again."
            )
        return PhantomTruth(
            settings=from_dict(PhantomSettings, values["settings"]),
            classes=tuple(values["classes"]),
            patients=tuple(_patient(patient) for patient in values["patients"]),
            flaws=tuple(_flaw(flaw) for flaw in values["flaws"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SettingsError) as error:
        raise CohortError(
            f"{path.name} in {path.parent.name} cannot be read ({type(error).__name__}): "
            "give the folder that `overread phantoms` wrote."
        ) from error


def _patient(values: dict[str, Any]) -> PatientTruth:
    lesions = tuple(
        LesionTruth(**{**lesion, "centre_mm": tuple(lesion["centre_mm"])}) for lesion in values["lesions"]
    )
    slices = tuple(SliceTruth(**one) for one in values["slices"])
    return PatientTruth(**{**values, "lesions": lesions, "slices": slices})


def _flaw(values: dict[str, Any]) -> Flaw:
    return Flaw(**{**values, "patients": tuple(values["patients"]), "files": tuple(values["files"])})
