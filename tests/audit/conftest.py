"""Subjects made to measure: images and rows from arrays; and subjects of files, read as an audit reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.audit.subject import Subject
from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.data.image import resolve_window
from overread.data.measures import NAMES
from overread.data.pixels import Header
from overread.data.rows import Cohort, CohortSettings, Row
from overread.data.split import Split
from overread.settings import ImageSettings

MakeSubject = Callable[..., Subject]
ReadSubject = Callable[..., Subject]
SIZE_PX = 64


def picture(seed: int, *, size: int = SIZE_PX) -> NDArray[np.uint8]:
    """A smooth random image, unlike that of any other seed: (size, size) uint8."""
    rng = np.random.default_rng(seed)
    waves = 20
    cosines = np.cos(np.pi * np.arange(waves)[:, None] * (np.arange(size) + 0.5) / size)
    steep = 1 / np.sqrt(1 + np.hypot(*np.mgrid[:waves, :waves]))
    values = cosines.T @ (rng.normal(size=(waves, waves)) * steep) @ cosines
    return (128 + 20 * values).clip(0, 255).astype(np.uint8)


@pytest.fixture
def make_subject(tmp_path: Path) -> MakeSubject:
    """`make_subject(images, labels, patients=..., parts=..., ...)`; images are (rows, columns) uint8."""

    def make(
        images: Sequence[NDArray[np.uint8]],
        labels: Sequence[str],
        *,
        patients: Sequence[str | None] | None = None,
        series: Sequence[str | None] | None = None,
        parts: Sequence[str] | None = None,
        tags: Sequence[dict[str, str]] | None = None,
        paths: Sequence[str] | None = None,
        **more: Any,
    ) -> Subject:
        n = len(images)
        nobody: list[None] = [None] * n
        rows = tuple(
            Row(path=path, label=label, patient=patient, series=one, tags=tag)
            for path, label, patient, one, tag in zip(
                paths or [f"{label}/{at}.png" for at, label in enumerate(labels)],
                labels,
                patients or nobody,
                series or nobody,
                tags or [{} for _ in range(n)],
                strict=True,
            )
        )
        header = Header(format="png", n_frames=1, rows=SIZE_PX, columns=SIZE_PX, scale="display")
        cohort = Cohort(
            root=tmp_path,
            rows=rows,
            classes=tuple(sorted(set(labels))),
            patients_from="column" if patients else "none",
            files={row.path: header for row in rows},
        )
        return Subject(
            cohort=cohort,
            pixels=np.stack([np.repeat(image[..., None], 3, axis=-1) for image in images]),
            places=np.arange(n),
            split=Split(parts=tuple(parts), unit="image", seed=0) if parts else None,
            **more,
        )

    return make


@pytest.fixture(scope="session")
def read_subject(tmp_path_factory: pytest.TempPathFactory) -> ReadSubject:
    """`read_subject(source, image=..., cohort=...)`: every image decoded and measured, no division."""

    def read(source: Path, *, image: ImageSettings | None = None, cohort: CohortSettings | None = None) -> Subject:
        listed = read_cohort(source, cohort)
        settings = resolve_window(image or ImageSettings(size_px=64), listed.headers())
        cache = build_cache(listed, settings, folder=tmp_path_factory.mktemp("cache"))
        good = dataclasses.replace(listed.subset(cache.good), problems=(*listed.problems, *cache.problems))
        return Subject(cohort=good, pixels=cache.pixels, places=cache.good, measures=cache.measures[cache.good])

    return read


def measured(n: int, **values: float | Sequence[float]) -> NDArray[np.float32]:
    """Measures of n frames of an ordinary head CT, but for the named ones: (n, len(NAMES)) float32."""
    usual = {"low": -1024, "floor": -1005, "median": -900, "p99": 1100, "high": 1500, "black": 0.4, "white": 0.03}
    table = np.zeros((n, len(NAMES)), np.float32)
    for name, value in {**usual, **values}.items():
        table[:, NAMES.index(name)] = value
    return table
