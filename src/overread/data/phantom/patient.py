"""Make one phantom patient: anatomy, lesions, scan, files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from overread.data.phantom import chest, chest_lesions, chest_slice, head, head_lesions, head_slice
from overread.data.phantom.dicom import Series, stored_values, write_slice
from overread.data.phantom.lesions import Lesion
from overread.data.phantom.scanner import KERNELS, SCANNERS, Scanner, burn_in, paint_table, scan
from overread.data.phantom.settings import PhantomSettings
from overread.data.phantom.shapes import Field, Grid, slice_grid
from overread.data.phantom.truth import LesionTruth, PatientTruth, SliceTruth

# The smallest lesions are seen over this many mm of height, so every class's slices fit into it.
_SEEN_MM = 6.4
_DOSE = {"head": 1.0, "chest": 0.07}

DrawSlice = Callable[[Grid], tuple[Field, Field]]
"""A slice's HU without noise, and the share of each pixel that is lesion."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is decided of a patient before it is drawn; small, so that it can be sent to another process."""

    number: int
    true_label: str
    label: str
    scanner: int
    anatomy: int
    kernel: int | None = None
    marker: str = ""

    @property
    def patient_id(self) -> str:
        """The patient's identifier in the files."""
        return f"PHANTOM-{self.number:04d}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One patient's anatomy: how to draw a slice, the height to draw at, and where the lesions are."""

    draw: DrawSlice
    field_mm: float
    z_mm: float
    half_height_mm: float
    lesions: tuple[LesionTruth, ...]


def make_patient(plan: Plan, settings: PhantomSettings, out: Path) -> PatientTruth:
    """Draw, scan and write one patient. The result depends on plan and settings alone."""
    # A leaked patient is another patient's anatomy again, scanned half a slice further on.
    rng = np.random.default_rng([settings.seed, plan.anatomy])
    subject = _subject(rng, settings.body, plan.true_label)
    scanner = SCANNERS[plan.scanner]
    series = _series(rng, plan, settings, scanner, subject.field_mm)
    folder = Path("images", plan.label, plan.patient_id, "CT-1")
    (out / folder).mkdir(parents=True)
    slices = []
    for number, z_mm in enumerate(_heights(rng, plan, settings, series, subject), start=1):
        grid = slice_grid(size_px=settings.size_px, pixel_mm=series.pixel_mm, z_mm=z_mm)
        hu, lesion = subject.draw(grid)
        paint_table(hu, scanner, grid, body=settings.body)
        noise = np.random.default_rng([settings.seed, plan.number, number])
        hu = scan(hu, scanner, series.kernel, grid, noise, dose=_DOSE[settings.body])
        burn_in(hu, plan.marker, rng)
        path = folder / f"{number:03d}.dcm"
        write_slice(out / path, stored_values(hu), series, number=number, z_mm=z_mm)
        mask = _write_mask(out, Path("masks", plan.patient_id, f"{number:03d}.png"), lesion > 0.5)
        slices.append(SliceTruth(path=path.as_posix(), position_mm=round(z_mm, 3), mask=mask))
    return PatientTruth(
        id=plan.patient_id,
        label=plan.label,
        true_label=plan.true_label,
        scanner=scanner.name,
        kernel=series.kernel.name,
        lesions=subject.lesions,
        slices=tuple(slices),
    )


def _series(
    rng: np.random.Generator, plan: Plan, settings: PhantomSettings, scanner: Scanner, field_mm: float
) -> Series:
    return Series(
        seed=settings.seed,
        patient_id=plan.patient_id,
        body=settings.body,
        age=int(rng.integers(25, 88)),
        sex=str(rng.choice(("F", "M"))),
        scanner=scanner,
        kernel=scanner.kernel if plan.kernel is None else KERNELS[plan.kernel],
        pixel_mm=round(field_mm * scanner.field / settings.size_px, 5),
        spacing_mm=round(min(scanner.spacing_mm, _SEEN_MM / max(settings.slices - 1, 1)), 3),
    )


def _heights(
    rng: np.random.Generator, plan: Plan, settings: PhantomSettings, series: Series, subject: Subject
) -> list[float]:
    """The slices' heights: evenly apart, all through the lesion, at a random place of it."""
    half_span = (settings.slices - 1) / 2 * series.spacing_mm
    free = max(0.0, 0.7 * subject.half_height_mm - half_span)
    middle = subject.z_mm + rng.uniform(-free, free)
    if plan.anatomy != plan.number:
        middle += series.spacing_mm / 2
    return [float(middle - half_span + step * series.spacing_mm) for step in range(settings.slices)]


def _subject(rng: np.random.Generator, body: str, kind: str) -> Subject:
    return _head(rng, kind) if body == "head" else _chest(rng, kind)


def _head(rng: np.random.Generator, kind: str) -> Subject:
    anatomy = head.make_head(rng)
    lesions = head_lesions.make_head_lesions(rng, anatomy, kind)
    masses = tuple((lesion.centre, lesion.radius_mm) for lesion in lesions if lesion.radius_mm > 5)

    def draw(grid: Grid) -> tuple[Field, Field]:
        picture = head_slice.draw_head(anatomy, grid, masses=masses)
        shares = [head_lesions.draw_head_lesion(lesion, picture) for lesion in lesions]
        return picture.hu, np.max(shares, axis=0)

    truths = tuple(_truth(lesion, head.to_patient(anatomy, lesion.centre)) for lesion in lesions)
    return Subject(
        draw=draw,
        field_mm=head.FIELD_MM,
        z_mm=truths[0].centre_mm[2],
        half_height_mm=lesions[0].radius_mm,
        lesions=truths,
    )


def _chest(rng: np.random.Generator, kind: str) -> Subject:
    anatomy = chest.make_chest(rng)
    lesions, z_mm = chest_lesions.make_chest_lesions(rng, anatomy, kind)

    def draw(grid: Grid) -> tuple[Field, Field]:
        shares = [np.zeros_like(grid.x)]

        def add(picture: chest_slice.ChestSlice) -> None:
            shares.extend(chest_lesions.draw_chest_lesion(lesion, picture) for lesion in lesions)

        picture = chest_slice.draw_chest(anatomy, grid, lesions=add)
        return picture.hu, np.max(shares, axis=0)

    truths = tuple(_truth(lesion, chest.to_patient(anatomy, lesion.centre)) for lesion in lesions)
    half_height = lesions[0].radius_mm if lesions else 8.0
    return Subject(draw=draw, field_mm=chest.FIELD_MM, z_mm=z_mm, half_height_mm=half_height, lesions=truths)


def _truth(lesion: Lesion, centre: tuple[float, float, float]) -> LesionTruth:
    x, y, z = (round(value, 2) for value in centre)
    return LesionTruth(kind=lesion.kind, centre_mm=(x, y, z), radius_mm=round(lesion.radius_mm, 2))


def _write_mask(out: Path, path: Path, mask: NDArray[np.bool_]) -> str | None:
    if not mask.any():
        return None
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(mask).save(out / path, optimize=False)
    return path.as_posix()
