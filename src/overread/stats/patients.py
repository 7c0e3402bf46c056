"""Which images are of one patient, and what each then counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Floats = NDArray[np.float64]


def patient_codes(patients: Sequence[Any] | None, n: int) -> Places:
    """Number the patient of each image from 0: (n,) int64.

    patients: (n,) names or numbers, or None where each image is its own patient. Raises ValueError where there
    are more or fewer names than images, or where some are None.
    """
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise ValueError(f"{len(patients)} patients are given for {n} images")
    codes: Places = np.unique(_known(patients), return_inverse=True)[1].astype(np.int64)
    return codes


def equal_weights(patients: Sequence[Any] | None, n: int) -> Floats:
    """Weights (n,) under which each patient counts 1, shared evenly by the patient's images.

    >>> equal_weights(["a", "a", "b"], 3)
    array([0.5, 0.5, 1. ])
    """
    codes = patient_codes(patients, n)
    return np.asarray(1 / np.bincount(codes)[codes], np.float64)


def of_some(patients: Sequence[Any] | None, chosen: NDArray[np.bool_]) -> Sequence[Any] | None:
    """Patients of the chosen images, (n,) bool; None where patients are unknown."""
    return None if patients is None else list(np.asarray(patients)[chosen])


def count_patients(patients: Sequence[Any] | None) -> int | None:
    """Number of distinct patients; None where they are unknown."""
    return None if patients is None else len(np.unique(_known(patients)))


def _known(patients: Sequence[Any]) -> NDArray[Any]:
    names = np.asarray(patients)
    unknown = sum(name is None for name in names) if names.dtype == object else 0
    if unknown:
        raise ValueError(f"the patient of {unknown} of {names.size} images is unknown; give None for all")
    return names
