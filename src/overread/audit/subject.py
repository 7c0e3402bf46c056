"""What an audit looks at: a cohort, its prepared images, and what several checks need of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from overread.audit.twins import Twins, find_twins
from overread.audit.views import SIDE, Views, take_views
from overread.data.rows import Cohort, Row, patient_hash
from overread.data.split import Split

__all__ = ["SIDE", "Subject"]

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The data under audit. Rows of every array are those of `cohort.rows`, in their order."""

    cohort: Cohort
    """the images that could be read; what could not is in its `problems`"""
    pixels: NDArray[np.uint8] = field(repr=False)
    """(m, size, size, 3), memory-mapped, m >= n: the prepared images"""
    places: NDArray[np.int64] = field(repr=False)
    """(n,), where each row of the cohort stands in `pixels`"""
    split: Split | None = None
    """the division that is to be trained with, where there is one"""
    features: NDArray[np.float32] | None = field(default=None, repr=False)
    """(n, d), what a pretrained network sees in each image; None where there is no network"""
    measures: NDArray[np.float32] | None = field(default=None, repr=False)
    """(n, k), what was measured of each frame's own values when it was decoded; see `data.measures.NAMES`"""
    seed: int = 0
    shared: dict[str, Any] = field(default_factory=dict, repr=False)
    """what several checks need and one has made; see `once`"""

    def __len__(self) -> int:
        return len(self.cohort)

    def rng(self) -> np.random.Generator:
        """A generator of its own for each check, so that no check's numbers depend on another's."""
        return np.random.default_rng(self.seed)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` returns; made when it is first asked for under this name."""
        if name not in self.shared:
            self.shared[name] = make()
        made: Made = self.shared[name]
        return made

    def image(self, index: int) -> NDArray[np.uint8]:
        """The prepared image of one row: (size, size, 3)."""
        return np.asarray(self.pixels[self.places[index]])

    def row(self, index: int) -> Row:
        """One row of the cohort."""
        return self.cohort.rows[int(index)]

    def name(self, index: int) -> str:
        """How a row is named in a finding: its path, with the frame where the file has several."""
        row = self.row(index)
        header = self.cohort.files.get(row.path)
        several = header.n_frames > 1 if header is not None else row.frame > 0
        return f"{row.path} [{row.frame}]" if several else row.path

    def parts(self) -> list[str]:
        """The part of each row; "" for each where there is no split."""
        return list(self.split.parts) if self.split is not None else [""] * len(self)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class of each row: (n,)."""
        return self.cohort.labels()

    @cached_property
    def hashed_patients(self) -> list[str | None]:
        """The patient of each row as a hash that may be printed; None where it is not known."""
        return [patient_hash(patient) if patient else None for patient in self.cohort.patients()]

    @cached_property
    def knows_patients(self) -> bool:
        """True if the patient of every row is known."""
        return all(patient is not None for patient in self.cohort.patients())

    @cached_property
    def views(self) -> Views:
        """Every image looked at once: small, without its border, and as a hash."""
        return take_views((self.image(index) for index in range(len(self))), len(self))

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """Every image in grey at a small size: (n, SIDE, SIDE)."""
        return self.views.whole

    @cached_property
    def twins(self) -> Twins:
        """Pairs of images that show the same, exactly or nearly."""
        return find_twins(self.views, self.image)
