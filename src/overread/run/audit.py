"""Audit a source of images: by itself, or at the start of a training."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from overread.audit.audit import FILE, Audit, audit, check_ignored, read_audit
from overread.audit.subject import Subject
from overread.data.alike import alike_groups
from overread.data.cache import Cache, build_cache
from overread.data.cohort import Cohort, read_cohort
from overread.data.image import resolve_window
from overread.data.measures import Measures
from overread.data.split import Split, split_cohort
from overread.errors import SplitError, WeightsError
from overread.model.bundle import write_json
from overread.run.job import CACHE, Job, claimed
from overread.training.watch import Silent, Watcher

if TYPE_CHECKING:
    from overread.model.weights import Weights

MOST_FEATURES = 5000
"""images that a network looks at for an audit; with more it would take longer than the training's first epoch"""
NO_NETWORK = "Wrong labels are not looked for: that takes a pretrained network"


def audit_source(job: Job, *, watch: Watcher | None = None, keep: bool = False) -> Audit:
    """Audit what `job` would train on, and train nothing. With `keep`, `audit.json` is written into `job.out`.

    Images that cannot be read are findings here, and stop nothing. The division is the one that training would
    make; where it would refuse one, the audit does without. Raises CohortError where there is no cohort.
    """
    watch = watch or Silent()
    check_ignored(job.ignore)
    if not keep:
        with tempfile.TemporaryDirectory(prefix="overread-") as folder:
            return _audit(job, Path(folder), watch)
    with claimed(job.out):
        found = _audit(job, job.out / CACHE, watch)
        write_json(job.out / FILE, found.to_json())
    return found


def _audit(job: Job, folder: Path, watch: Watcher) -> Audit:
    watch.say(f"Reading {job.source.name}")
    listed = read_cohort(job.source, job.cohort)
    cache = build_cache(
        listed,
        resolve_window(job.image, listed.headers()),
        folder=folder,
        workers=job.workers,
        progress=lambda done, total: watch.step("reading images", done, total),
    )
    cohort = dataclasses.replace(listed.subset(cache.good), problems=(*listed.problems, *cache.problems))
    return look(
        cohort,
        pixels=cache.pixels,
        places=cache.good,
        measures=cache.measures[cache.good],
        split=_split(cohort, cache, job),
        weights=_weights(job, watch, len(cohort)),
        job=job,
        watch=watch,
    )


def look(
    cohort: Cohort,
    *,
    pixels: NDArray[np.uint8],
    places: NDArray[np.int64],
    measures: Measures,
    split: Split | None,
    weights: Weights | None,
    job: Job,
    watch: Watcher,
) -> Audit:
    """Audit a cohort whose images are prepared; `weights` are those of the network that looks for wrong labels."""
    features, earlier = None, None if job.audited is None else read_audit(job.audited)
    if earlier is None and weights is not None and weights.path is not None and len(cohort) <= MOST_FEATURES:
        from overread.training.features import pretrained_features

        features = pretrained_features(weights, pixels, places, settings=job.train, watch=watch)
    subject = Subject(
        cohort=cohort,
        pixels=pixels,
        places=places,
        split=split,
        features=features,
        measures=measures,
        seed=job.train.seed,
    )
    return audit(
        subject,
        ignore=job.ignore,
        earlier=earlier,
        progress=lambda done, total: watch.step("checks", done, total),
    )


def _split(cohort: Cohort, cache: Cache, job: Job) -> Split | None:
    """The division that training would make; None where it would refuse one."""
    val, test = job.train.val_fraction, job.train.test_fraction
    with suppress(SplitError):
        return split_cohort(
            cohort,
            by=job.train.split,
            fractions=(1 - val - test, val, test),
            calibrate=job.train.calibrate_fraction,
            seed=job.train.seed,
            groups=alike_groups(cache.fingerprints[cache.good]),
        )
    return None


def _weights(job: Job, watch: Watcher, n_images: int) -> Weights | None:
    """The pretrained network to look with; None, and a word on why, where there is none."""
    if n_images > MOST_FEATURES:
        watch.say(f"{NO_NETWORK}, and {n_images} images are too many for one.")
        return None
    try:
        from overread.model.weights import choose_backbone
    except ModuleNotFoundError as missing:
        watch.say(f"{NO_NETWORK}, and {missing.name} is not installed (pip install 'overread[train]').")
        return None
    try:
        return choose_backbone(job.train.backbone, job.train.weights).weights
    except WeightsError:
        if job.train.weights not in ("auto", "none"):
            raise
        watch.say(f"{NO_NETWORK}, and its weights were not found.")
        return None
