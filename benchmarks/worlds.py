"""Simulated patients whose truth is known, for the benchmark of the statistics (coverage.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax


@dataclass(frozen=True, kw_only=True)
class World:
    """Patients of two classes; a score of their images is normal in each, with standard deviation 1."""

    patients: int
    images: tuple[int, int] = (1, 1)
    """fewest and most images of a patient, all numbers as likely"""
    distance: float = 1.5
    ill: float = 0.5
    """share of the patients"""

    def __str__(self) -> str:
        area = math.erfc(-self.distance / 2) / 2
        return f"{self.patients} patients, {_each(self.images)}, AUROC {area:.3f}, {self.ill:.0%} ill"

    def draw(self, rng: np.random.Generator, *, models: int = 1) -> tuple[Any, Any, Any]:
        """Whether each image is of the disease, (n,); scores, (models, n); and patients, (n,)."""
        ill = np.arange(self.patients) < round(self.ill * self.patients)
        of = np.repeat(np.arange(self.patients), rng.integers(self.images[0], self.images[1] + 1, self.patients))
        noise = 0.8 * rng.normal(size=(models + 1, self.patients))[:, of] + 0.6 * rng.normal(
            size=(models + 1, of.size)
        )
        # the last is common: models see the same images
        mixed = math.sqrt(0.6) * noise[-1] + math.sqrt(0.4) * noise[:-1]
        return ill[of], self.distance * (ill[of] - 0.5) + mixed, of

    def probabilities(self, scores: Any) -> Any:
        """A little too sure, as networks are: (n, 2)."""
        p = expit(1.3 * self.distance * scores)
        return np.stack([1 - p, p], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A network of k classes, the last of which it tells badly, and calibration patients."""

    patients: int
    images: tuple[int, int] = (1, 1)
    classes: int = 3

    def __str__(self) -> str:
        return f"{self.classes} classes, {self.patients} calibration patients, {_each(self.images)}"

    def draw(self, rng: np.random.Generator, patients: int, images: tuple[int, int]) -> tuple[Any, Any, Any]:
        """Class of each image, (n,); probabilities, (n, classes); and patients, (n,)."""
        of = np.repeat(np.arange(patients), rng.integers(images[0], images[1] + 1, patients))
        truth = rng.integers(0, self.classes, patients)[of]
        signal = np.where(truth == self.classes - 1, 1.0, 2.0)[:, None] * np.eye(self.classes)[truth]
        noise = 0.8 * rng.normal(size=(patients, self.classes))[of] + 0.6 * rng.normal(size=(of.size, self.classes))
        return truth, softmax(1.5 * (signal + noise), axis=1), of


def _each(images: tuple[int, int]) -> str:
    return "an image each" if images == (1, 1) else f"{images[0]}-{images[1]} images"
