"""The images that a network knows, as it sees them: the ones like a new image, those typical of a class, and the odd.

Features and where each came from; no pictures, since patients' images do not travel with a model. Every distance here
is that of cosine: 0 in the same direction, 1 at right angles, 2 opposite.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.disk import replacing
from overread.errors import ModelError
from overread.model import bundle

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FILE = "examples.npz"
_KINDS = {"features": "<f2", "scale": "<f8", "labels": "<i8", "frames": "<i8"}
_TEXTS = ("classes", "patients", "paths", "parts")
_LARGEST = 2.0**15
_OF_ONE_PATIENT = 2
_NO_LENGTH = 1e-12


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Images by their features. ValueError where the fields do not fit together."""

    features: NDArray[np.float32] = field(repr=False)
    """(n, d), n and d at least 1, finite"""
    labels: Places = field(repr=False)
    """(n,) places in `classes`"""
    classes: tuple[str, ...]
    patients: tuple[str | None, ...] = field(repr=False)
    """the hash of each image's patient; None where unknown"""
    paths: tuple[str, ...] = field(repr=False)
    """as in split.csv"""
    frames: tuple[int, ...] = field(repr=False)
    parts: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not self.features.size:
            raise ValueError(f"features have the shape {self.features.shape}; they are one row of numbers an image")
        if not np.isfinite(self.features).all():
            raise ValueError("some features are not finite")
        for name in ("labels", "patients", "paths", "frames", "parts"):
            if len(getattr(self, name)) != len(self):
                raise ValueError(f"{len(getattr(self, name))} {name} are given for {len(self)} images")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have one name")
        if self.labels.ndim != 1 or self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise ValueError(f"labels are not places among {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """One of the examples, and how far it lies from what was asked."""

    place: int
    """among the examples"""
    distance: float
    """0 to 2, by cosine"""
    label: str
    patient: str | None
    path: str = field(repr=False)
    frame: int


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """An image that lies badly with its class."""

    image: Neighbour
    """its distance is that from the mean of its own class"""
    other: str | None
    """the class whose mean is the nearest of the others; None where there is no other"""
    excess: float
    """how much farther its own mean is than that of `other`: above 0 the other is nearer"""


def write_examples(folder: Path, found: Examples) -> None:
    """Write `examples.npz`: numpy's format without objects; features in half precision, so to about 3 digits.

    Nothing of a picture. Patients appear as hashes only, nothing where unknown. RunError where it cannot be written.
    """
    # a power of two, which costs no digit, brings any features into the range of half precision
    scale = 2.0 ** math.frexp(float(np.abs(found.features).max()))[1] / _LARGEST
    arrays: dict[str, Any] = {
        "features": found.features / np.float64(scale),
        "scale": scale,
        "labels": found.labels,
        "frames": found.frames,
    }
    typed = {name: np.asarray(values, _KINDS[name]) for name, values in arrays.items()}
    texts = {name: np.array([text or "" for text in getattr(found, name)], np.str_) for name in _TEXTS}
    with replacing(folder / FILE) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **typed, **texts)


def read_examples(content: bytes, *, name: str) -> Examples:
    """Undo `write_examples`, from the file's bytes. Raises ModelError where they are none."""
    try:
        # written without compression: what claims to unpack to more than the file would fill the memory
        if sum(member.file_size for member in ZipFile(io.BytesIO(content)).infolist()) > len(content):
            raise ValueError("it claims to hold more than its size")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: _of_kind(key, file[key]) for key in (*_KINDS, *_TEXTS)}
        return _parse(arrays)
    except (
        Exception
    ) as fault:  # of a broken file numpy and zipfile raise a dozen kinds, tokenize's and SystemError too
        raise ModelError(f"{name} cannot be read: {fault}. Take the folder from its source again.") from fault


def examples_of(folder: Path, files: Mapping[str, str]) -> Examples | None:
    """The examples of a model folder; None where it keeps none. files: their hashes. Raises ModelError."""
    if FILE not in files:
        return None
    return read_examples(bundle.read_verified(folder, FILE, files), name=str(folder / FILE))


def _of_kind(key: str, array: NDArray[Any]) -> NDArray[Any]:
    kind = _KINDS.get(key, "text")
    if not (array.dtype.kind == "U" if key in _TEXTS else array.dtype == np.dtype(kind)):
        raise ValueError(f"its {key} are of the kind {array.dtype}, not {kind}")
    if array.ndim != {"scale": 0, "features": 2}.get(key, 1):
        raise ValueError(f"its {key} have the shape {array.shape}")
    return array


def _parse(arrays: dict[str, NDArray[Any]]) -> Examples:
    scale = float(arrays["scale"])
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"its scale is {scale}")
    if min(arrays["frames"], default=0) < 0:
        raise ValueError("a frame is below 0")
    with np.errstate(all="ignore"):  # what is not finite is refused below
        features = (arrays["features"].astype(np.float64) * scale).astype(np.float32)
    return Examples(
        features=features,
        labels=arrays["labels"],
        classes=tuple(arrays["classes"].tolist()),
        patients=tuple(patient or None for patient in arrays["patients"].tolist()),
        paths=tuple(arrays["paths"].tolist()),
        frames=tuple(arrays["frames"].tolist()),
        parts=tuple(arrays["parts"].tolist()),
    )


def nearest(
    examples: Examples, features: ArrayLike, *, k: int = 5, not_patient: str | None = None
) -> tuple[Neighbour, ...]:
    """The k examples most like an image, the nearest first, at most two of one patient.

    features: (d,) float of one image; or (m, d) of several of one study, and then an example is as near as the
    nearest of them. not_patient: the hash of a patient whose images are left out, such as the image's own. Examples
    of unknown patients count as of one patient each. Fewer than k where there are no more. ValueError where features
    are not finite, or of another number than those of the examples.
    """
    asked = np.atleast_2d(np.asarray(features, np.float64))
    d = examples.features.shape[1]
    if k < 1 or asked.ndim != 2 or asked.shape[1] != d or not len(asked) or not np.isfinite(asked).all():
        raise ValueError(
            f"{k} neighbours of features of the shape {asked.shape}; they are {d} finite numbers an image"
        )
    distance = _apart(_unit(examples.features), _unit(asked)).min(axis=1)
    order = np.argsort(distance, kind="stable")
    kept = [place for place in order if not_patient is None or examples.patients[place] != not_patient]
    return tuple(_neighbour(examples, place, distance) for place in _spread(examples, kept, k, _OF_ONE_PATIENT))


def prototypes(examples: Examples, k: int = 3) -> dict[str, tuple[Neighbour, ...]]:
    """Of each class the k images nearest to its mean, at most one a patient; none for a class without images.

    The mean is that of the directions (features of length 1), in which each patient counts the same.
    """
    distance = _from_means(examples)
    found = {}
    for label, name in enumerate(examples.classes):
        own = np.flatnonzero(examples.labels == label)
        order = own[np.argsort(distance[own, label], kind="stable")]
        kept = _spread(examples, order, k, 1)
        found[name] = tuple(_neighbour(examples, place, distance[:, label]) for place in kept)
    return found


def outliers(examples: Examples, k: int = 3) -> dict[str, tuple[Outlier, ...]]:
    """Of each class the k images that lie worst with it, at most one a patient; the worst first.

    By the distance from the mean of its own class less that from the nearest other class's mean (means as for
    `prototypes`); by the former alone where no other class has images.
    """
    distance = _from_means(examples)
    found = {}
    for label, name in enumerate(examples.classes):
        own = np.flatnonzero(examples.labels == label)
        others = [c for c in np.unique(examples.labels) if c != label]
        beside = distance[:, others].min(axis=1) if others else np.zeros(len(examples))
        excess = distance[:, label] - beside
        order = own[np.argsort(-excess[own], kind="stable")]
        found[name] = tuple(
            Outlier(
                image=_neighbour(examples, place, distance[:, label]),
                other=examples.classes[others[int(distance[place, others].argmin())]] if others else None,
                excess=float(excess[place]),
            )
            for place in _spread(examples, order, k, 1)
        )
    return found


def _from_means(examples: Examples) -> Floats:
    """Distances (n, classes) from the mean of each class; nan for one without images."""
    unit = _unit(examples.features)
    found = np.full((len(examples), len(examples.classes)), np.nan)
    for label in np.unique(examples.labels):
        own = np.flatnonzero(examples.labels == label)
        whose = [_who(examples, int(place)) for place in own]
        _, codes, counts = np.unique(whose, return_inverse=True, return_counts=True)
        mean = np.average(unit[own], axis=0, weights=1 / counts[codes])
        found[:, label] = _apart(unit, _unit(mean[None]))[:, 0]
    return found


def _spread(examples: Examples, places: Iterable[int], k: int, most: int) -> list[int]:
    """The first k of some places, of which at most so many are of one patient."""
    kept: list[int] = []
    seen: dict[str, int] = {}
    for place in places:
        if len(kept) == k:
            break
        who = _who(examples, place)
        seen[who] = seen.get(who, 0) + 1
        if seen[who] <= most:
            kept.append(int(place))
    return kept


def _who(examples: Examples, place: int) -> str:
    """The patient of an image; where unknown, one of its own."""
    known = examples.patients[place]
    return f"image {place}" if known is None else f"patient {known}"


def _neighbour(examples: Examples, place: int, distance: Floats) -> Neighbour:
    return Neighbour(
        place=int(place),
        distance=float(distance[place]),
        label=examples.classes[examples.labels[place]],
        patient=examples.patients[place],
        path=examples.paths[place],
        frame=examples.frames[place],
    )


def _apart(unit: Floats, others: Floats) -> Floats:
    """Cosine distances (n, m) between rows of length 1; 1 where a row is 0, which points nowhere."""
    return np.asarray(np.clip(1 - unit @ others.T, 0, 2))


def _unit(x: ArrayLike) -> Floats:
    rows = np.asarray(x, np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _NO_LENGTH))
