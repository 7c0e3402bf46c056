"""What a model knows of its own doubt: a temperature, the sets of classes that it may name, and when it is silent.

Fitted on images that the network has not learnt from, kept in the model folder, and repeated by every prediction.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.disk import replacing
from overread.errors import ModelError
from overread.stats.metrics import softmax
from overread.stats.outlying import Mahalanobis

FILE = "distance.npz"
_COOLEST, _HOTTEST = 0.05, 20.0
_ROUNDING = 1e-9
_ARRAYS = ("means", "directions", "variances")
_NUMBERS = ("rest", "shrinkage")
_NOT_FITTED = "it was not fitted"


@dataclass(frozen=True, kw_only=True)
class Caution:
    """How sure a model may be. An empty promise is named with its reason, never made."""

    temperature: float = 1.0
    """what logits are divided by (Guo et al. 2017); 1 leaves them as they are"""
    temperature_why: str = _NOT_FITTED
    """where it comes from, in words"""
    part: str = ""
    """the part of the cohort that all this was fitted on"""
    n_images: int = 0
    n_patients: int | None = None
    alpha: float = 0.1
    """the share of the sets that may miss the true class"""
    thresholds: tuple[float, ...] = ()
    """for each class how strange, 1 - its probability, it may be and still be in the set; none: no sets"""
    by_class: bool = False
    """whether the promise holds for the images of each class by itself"""
    sets_why: str = _NOT_FITTED
    """what the sets promise, or why there are none"""
    far_alpha: float = 0.05
    """the share of the images like these that may be called too far"""
    farthest: float | None = None
    """squared distance from the training images, beyond which an image is unlike them; None: no such limit"""
    far_why: str = _NOT_FITTED
    """what the limit promises, or why there is none"""

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, k) of logits (n, k), at the temperature."""
        return softmax(np.asarray(logits, np.float64) / self.temperature)

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_] | None:
        """Which classes are in the set of each image: (n, k) bool of probabilities (n, k); None without sets."""
        if not self.thresholds:
            return None
        return np.asarray(1 - np.asarray(probabilities, np.float64) <= np.asarray(self.thresholds) + _ROUNDING)

    def far(self, distance: ArrayLike) -> NDArray[np.bool_] | None:
        """Which images are too unlike the training images: (n,) bool of distances (n,); None without a limit."""
        return None if self.farthest is None else np.asarray(np.asarray(distance, np.float64) > self.farthest)


def parse_caution(values: Any, n_classes: int) -> Caution:
    """A Caution of the plain values of JSON. Raises ValueError where they are none."""
    if not isinstance(values, Mapping):
        raise ValueError("caution is missing or not of its kind")
    known = {f.name for f in dataclasses.fields(Caution)}
    if set(values) != known:
        raise ValueError(f"caution has other fields than {', '.join(sorted(known))}")
    content = {**values, "thresholds": tuple(values["thresholds"])}
    for name in ("temperature", "alpha", "far_alpha"):
        if not _is_number(content[name]):
            raise ValueError(f"{name} is not a number")
    if not _COOLEST <= content["temperature"] <= _HOTTEST:
        raise ValueError(f"temperature is {content['temperature']}; it lies between {_COOLEST} and {_HOTTEST}")
    if len(content["thresholds"]) not in (0, n_classes) or not all(map(_is_number, content["thresholds"])):
        raise ValueError(f"thresholds are not {n_classes} numbers, one a class")
    if content["farthest"] is not None and not _is_number(content["farthest"]):
        raise ValueError("farthest is not a number")
    return Caution(**content)


def write_distance(folder: Path, found: Mahalanobis) -> None:
    """Write what the distance from the training images is measured by, in numpy's format without objects."""
    arrays = {name: np.asarray(getattr(found, name), np.float32) for name in _ARRAYS}
    numbers = {name: np.float64(getattr(found, name)) for name in _NUMBERS}
    with replacing(folder / FILE) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, **numbers)


def read_distance(content: bytes, *, name: str) -> Mahalanobis:
    """Undo `write_distance`, from the file's bytes. Raises ModelError where they are none."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            means, directions, variances = (np.asarray(file[key], np.float64) for key in _ARRAYS)
            rest, shrinkage = (float(file[key]) for key in _NUMBERS)
        if not (means.ndim == directions.ndim == 2 and means.shape[1] == directions.shape[1]):
            raise ValueError("its arrays do not fit together")
        if variances.shape != (len(directions),) or not rest > 0 or not (variances > 0).all():
            raise ValueError("its variances are none")
        return Mahalanobis(means=means, directions=directions, variances=variances, rest=rest, shrinkage=shrinkage)
    except Exception as fault:  # of a broken file numpy and zipfile raise a dozen kinds, tokenize's among them
        raise ModelError(f"{name} cannot be read: {fault}. Take the folder from its source again.") from fault


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
