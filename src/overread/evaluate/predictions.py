"""The table of every prediction, an image a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from overread.data.cohort import Row, patient_hash
from overread.disk import write_atomically


def write_predictions(
    path: str | Path,
    rows: Sequence[Row],
    probabilities: ArrayLike,
    *,
    classes: Sequence[str],
    parts: Sequence[str],
) -> None:
    """Write `predictions.csv`: path, frame, patient, true, predicted, a probability a class, split.

    rows, parts: (n,), the images and the part that each is in. probabilities: (n, k) float, in the order of
    `classes`, nine digits kept (a float32 reads back equal). Patients appear as hashes only, nothing where
    unknown. RunError where the file cannot be written.
    """
    p = np.asarray(probabilities)
    if not len(rows) == len(p) == len(parts):
        raise ValueError(f"{len(rows)} rows, {len(p)} probabilities and {len(parts)} parts do not match")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"probability {name}" for name in classes]
    writer.writerow(["path", "frame", "patient", "true", "predicted", *columns, "split"])
    for row, values, part in zip(rows, p, parts, strict=True):
        patient = "" if row.patient is None else patient_hash(row.patient)
        predicted = classes[int(values.argmax())]
        digits = [f"{value:.9g}" for value in values]
        writer.writerow([row.path, row.frame, patient, row.label, predicted, *digits, part])
    write_atomically(path, text.getvalue())
