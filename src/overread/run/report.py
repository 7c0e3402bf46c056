"""Gather what a run knows into the page that tells of it."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from overread import __version__
from overread.audit.audit import Audit
from overread.data.cohort import patient_hash
from overread.evaluate.predictions import Predictions
from overread.evaluate.second_read import SecondRead
from overread.model.bundle import INTENDED_USE
from overread.model.weights import Weights
from overread.report.html import as_text
from overread.report.page import Page, count_cells, list_limits, today
from overread.report.pictured import FindPixels, finding_pictures, in_grey, mistakes
from overread.run.inputs import PARTS, UNITS, Inputs, describe
from overread.run.job import Job, git_commit, machine, versions
from overread.settings import ImageSettings
from overread.training.history import EpochRow, History

_TOLD = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "label_smoothing", "augment",
    "flip", "learn", "freeze", "select", "precision", "seed",
)  # fmt: skip


def training_page(
    job: Job,
    *,
    inputs: Inputs,
    weights: Weights,
    history: History,
    audit: Audit | None,
    found: Predictions,
    read: SecondRead,
) -> Page:
    """The report of a training."""
    find = finder(inputs)
    best = history.best_epoch(job.train.select)
    parts = tuple(part for part in PARTS if len(inputs.split.indices(part)))
    rows = [(row.label, part, row.patient) for row, part in zip(inputs.cohort.rows, inputs.split.parts, strict=True)]
    return Page(
        name=job.out.name,
        subtitle=f"{weights.backbone} on {job.source.name}: {', '.join(inputs.cohort.classes)}",
        dataset=job.source.name,
        written=today(),
        version=__version__,
        read=read,
        found=found,
        audit=audit,
        intended_use=INTENDED_USE,
        data_words=(describe(inputs), *_data_words(inputs)),
        counted_parts=parts,
        counts=count_cells(inputs.cohort.classes, parts, rows),
        training=_training(job, weights, inputs.image, history),
        history=history,
        best_epoch=best,
        mistakes=mistakes(found.part("test"), find),
        finding_pictures=finding_pictures(audit, find),
        patients=frozenset(patient_hash(row.patient) for row in inputs.cohort.rows if row.patient),
        limits=list_limits(read, external=False),
        commands=() if job.quantized else (f"overread replay {shlex.quote(str(job.out))}",),
        provenance=_provenance(inputs, weights),
    )


def finder(inputs: Inputs) -> FindPixels:
    """Where the prepared image of a path and frame is found."""
    places = {(row.path, row.frame): place for row, place in zip(inputs.cohort.rows, inputs.places, strict=True)}

    def find(path: str, frame: int) -> NDArray[np.uint8] | None:
        place = places.get((path, frame))
        return None if place is None else in_grey(np.asarray(inputs.pixels[place]), inputs.image.window)

    return find


def _data_words(inputs: Inputs) -> Sequence[str]:
    known = {
        "column": "Patients are those of the list's patient column.",
        "path": "Patients are known from the paths of the files.",
        "dicom": "Patients are known from the DICOM headers.",
    }
    words = [known.get(inputs.cohort.patients_from, "Patients are not known.")]
    if inputs.split.unit not in UNITS:
        words.append(f"The test part is {inputs.split.unit}.")
    return words


def _training(job: Job, weights: Weights, image: ImageSettings, history: History) -> tuple[tuple[str, str], ...]:
    kept = history.best(job.train.select)
    settings: Mapping[str, object] = dataclasses.asdict(job.train)
    told = [(name.replace("_", " "), as_text(settings[name])) for name in _TOLD]
    return (
        ("network", weights.backbone),
        ("pretrained weights", weights.source),
        ("images", f"{image.size_px} x {image.size_px} pixels, window {image.window}, {image.fit}"),
        ("epoch kept", f"{kept.epoch} of {len(history)}{_learnt(kept)}"),
        *((("arithmetic", f"8-bit integers, from {job.quantized}"),) if job.quantized else ()),
        *told,
    )


def _learnt(row: EpochRow) -> str:
    """What had learnt by that epoch, where it is known."""
    if math.isnan(row.stages_learning):
        return ""
    return (
        "; the last layer alone learned" if row.stages_learning == 1 else f"; {row.stages_learning:g} stages learned"
    )


def _provenance(inputs: Inputs, weights: Weights) -> tuple[tuple[str, str], ...]:
    here = machine()
    commit = git_commit()
    return (
        ("data (SHA-256)", inputs.sha256),
        ("pretrained weights (SHA-256)", weights.sha256 or "none"),
        ("machine", f"{here['system']}, {here['processor']}, {here['cores']} cores, GPU: {here['gpu'] or 'none'}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        *((("commit", commit),) if commit else ()),
    )
