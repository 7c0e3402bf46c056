"""The table of every prediction, an image a line: what each figure of a report can be computed again from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.data.cohort import Row, patient_hash
from overread.disk import write_atomically
from overread.errors import ModelError
from overread.evaluate.facts import FACTS, facts_of

FILE = "predictions.csv"
_BEFORE = ("path", "frame", "patient", "true", "predicted")
_PROBABILITY = "probability "
_DISTANCE = "distance"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says of some images, beside the truth."""

    paths: tuple[str, ...] = field(repr=False)
    frames: tuple[int, ...] = field(repr=False)
    patients: tuple[str | None, ...] = field(repr=False)
    """the hash of each image's patient; None where unknown"""
    truth: NDArray[np.int64] = field(repr=False)
    """(n,) places in `classes`"""
    probabilities: NDArray[np.float64] = field(repr=False)
    """(n, k), as a prediction gives them: after the temperature"""
    parts: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...]
    distance: NDArray[np.float64] | None = field(default=None, repr=False)
    """(n,) how far each image lies from the training images; None where that was not measured"""
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """what is known of each image's patient and scanner, by name; "" where it is not"""

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def known_patients(self) -> tuple[str, ...] | None:
        """The patient of each image; None where one or more are unknown."""
        known = tuple(patient for patient in self.patients if patient is not None)
        return known if len(known) == len(self) else None

    def part(self, name: str) -> Predictions:
        """The images of one part, in their order; there may be none."""
        return self.subset(np.flatnonzero(np.array(self.parts, dtype=object) == name))

    def __add__(self, other: Predictions) -> Predictions:
        """These images, then the others, of the same classes; what one side does not know is left unknown."""
        both = [self, other]
        names = [name for name in FACTS if any(name in one.facts for one in both)]
        distances = [one.distance for one in both if one.distance is not None]
        return Predictions(
            paths=self.paths + other.paths,
            frames=self.frames + other.frames,
            patients=self.patients + other.patients,
            truth=np.concatenate([self.truth, other.truth]),
            probabilities=np.concatenate([self.probabilities, other.probabilities]),
            parts=self.parts + other.parts,
            classes=self.classes,
            distance=np.concatenate(distances) if len(distances) == len(both) else None,
            facts={name: tuple(v for one in both for v in one.facts.get(name, ("",) * len(one))) for name in names},
        )

    def subset(self, places: ArrayLike) -> Predictions:
        """Some images, (m,) places."""
        kept = np.asarray(places, np.int64)

        def of(values: Sequence[object]) -> tuple[object, ...]:
            return tuple(values[place] for place in kept)

        chosen = {name: of(getattr(self, name)) for name in ("paths", "frames", "patients", "parts")}
        return Predictions(
            **chosen,  # type: ignore[arg-type]
            truth=self.truth[kept],
            probabilities=self.probabilities[kept],
            classes=self.classes,
            distance=None if self.distance is None else self.distance[kept],
            facts={name: of(values) for name, values in self.facts.items()},  # type: ignore[misc]
        )


def gather_predictions(
    rows: Sequence[Row],
    probabilities: ArrayLike,
    *,
    classes: Sequence[str],
    parts: Sequence[str],
    distance: ArrayLike | None = None,
) -> Predictions:
    """Put the rows of a cohort and what a model says of them together.

    rows, parts: (n,), the images and the part that each is in. probabilities: (n, k) float, in the order of
    `classes`. distance: (n,) float. Patients become hashes here, and ages become bands of twenty years.
    """
    p = np.asarray(probabilities, np.float64)
    if not len(rows) == len(p) == len(parts):
        raise ValueError(f"{len(rows)} rows, {len(p)} probabilities and {len(parts)} parts do not match")
    places = {name: place for place, name in enumerate(classes)}
    return Predictions(
        paths=tuple(row.path for row in rows),
        frames=tuple(row.frame for row in rows),
        patients=tuple(None if row.patient is None else patient_hash(row.patient) for row in rows),
        truth=np.array([places[row.label] for row in rows], np.int64),
        probabilities=p,
        parts=tuple(parts),
        classes=tuple(classes),
        distance=None if distance is None else np.asarray(distance, np.float64),
        facts=facts_of(rows),
    )


def write_predictions(path: str | Path, found: Predictions) -> None:
    """Write `predictions.csv`: path, frame, patient, true, predicted, a probability a class, split, distance, facts.

    Nine digits are kept (a float32 reads back equal). Patients appear as hashes only, nothing where unknown.
    RunError where the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{_PROBABILITY}{name}" for name in found.classes]
    writer.writerow([*_BEFORE, *columns, "split", _DISTANCE, *found.facts])
    for i, values in enumerate(found.probabilities):
        start = [found.paths[i], found.frames[i], found.patients[i] or "", found.classes[found.truth[i]]]
        digits = [f"{value:.9g}" for value in values]
        distance = "" if found.distance is None else f"{found.distance[i]:.9g}"
        facts = [values[i] for values in found.facts.values()]
        writer.writerow([*start, found.classes[int(values.argmax())], *digits, found.parts[i], distance, *facts])
    write_atomically(path, text.getvalue())


def read_predictions(path: str | Path) -> Predictions:
    """Undo `write_predictions`. Raises ModelError where the file is missing, or is no such table."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return _parse(rows)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as fault:
        raise ModelError(
            f"{path} cannot be read as a table of predictions: {fault}. Take the folder from its source again."
        ) from fault


def _parse(rows: list[dict[str, str]]) -> Predictions:
    if not rows:
        raise ValueError("it holds no prediction")
    names = [name for name in rows[0] if name.startswith(_PROBABILITY)]
    classes = tuple(name.removeprefix(_PROBABILITY) for name in names)
    places = {name: place for place, name in enumerate(classes)}
    distance = [row[_DISTANCE] for row in rows]
    return Predictions(
        paths=tuple(row["path"] for row in rows),
        frames=tuple(int(row["frame"]) for row in rows),
        patients=tuple(row["patient"] or None for row in rows),
        truth=np.array([places[row["true"]] for row in rows], np.int64),
        probabilities=np.array([[float(row[name]) for name in names] for row in rows]),
        parts=tuple(row["split"] for row in rows),
        classes=classes,
        distance=np.array([float(value) for value in distance]) if all(distance) else None,
        facts={name: tuple(row[name] for row in rows) for name in FACTS if name in rows[0]},
    )
