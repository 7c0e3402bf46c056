"""What the trained network says of the parts that it has not learnt from, and how sure it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.evaluate.calibrate import fit_caution
from overread.evaluate.predictions import Predictions, gather_predictions
from overread.model import caution as cautions
from overread.model.caution import Caution
from overread.run.inputs import Inputs
from overread.run.job import Job
from overread.run.speaker import Matrix, Speaker, Spoken
from overread.stats.outlying import fit_mahalanobis
from overread.training.batches import Part
from overread.training.watch import Watcher

MOST_LEARNT = 5000
"""training images that the distance is fitted on: more would take memory, and move it little"""


@dataclass(frozen=True, kw_only=True)
class Seen(Spoken):
    """What the network gives for images of one part."""

    rows: NDArray[np.int64]
    """(n,) places in the cohort"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """All that is kept of what the network gives."""

    found: Predictions
    caution: Caution
    seen: Mapping[str, Seen]
    """by part; of the training part at most `MOST_LEARNT` images, and no class maps"""
    method: str
    """how the class maps are made, in words"""


def say_all(job: Job, *, inputs: Inputs, speaker: Speaker, watch: Watcher) -> Said:
    """Predict every part, and fit the caution on the calibration part, or the validation part.

    Writes what the distance from the training images is measured by into `job.out`.
    """

    def see(part: str, rows: NDArray[np.int64], what: str) -> Seen:
        images = Part(pixels=inputs.pixels, indices=inputs.places[rows], labels=inputs.cohort.labels()[rows])
        spoken = speaker.speak(images, maps=part == "test", watch=watch, what=f"predicting {what}")
        return Seen(rows=rows, **vars(spoken))

    parts = [part for part in ("val", "calibrate", "test") if len(inputs.split.indices(part))]
    seen = {part: see(part, inputs.split.indices(part), f"the {part} part") for part in parts}
    learnt = see("train", _some(inputs.split.indices("train"), job.train.seed), "the training part")
    fitted_on = "calibrate" if "calibrate" in seen else "val"
    distance = _distances(job, inputs, learnt, seen)
    caution = fit_caution(
        inputs.part(fitted_on).labels,
        seen[fitted_on].logits,
        inputs.patients(fitted_on),
        classes=inputs.cohort.classes,
        part=fitted_on,
        distance=None if distance is None else distance[fitted_on],
    )
    places = np.concatenate([inputs.split.indices(part) for part in parts])
    found = gather_predictions(
        [inputs.cohort.rows[place] for place in places],
        np.concatenate([caution.probabilities(seen[part].logits) for part in parts]),
        classes=inputs.cohort.classes,
        parts=[inputs.split.parts[place] for place in places],
        distance=None if distance is None else np.concatenate([distance[part] for part in parts]),
    )
    return Said(found=found, caution=caution, seen={"train": learnt, **seen}, method=speaker.method)


def _some(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """At most `MOST_LEARNT` rows, by lot."""
    if len(rows) <= MOST_LEARNT:
        return rows
    return np.asarray(rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_LEARNT])], np.int64)


def _distances(job: Job, inputs: Inputs, learnt: Seen, seen: Mapping[str, Seen]) -> dict[str, Matrix] | None:
    """How far the images of each part lie from the training images: (n,) a part; None where these are all alike."""
    try:
        fitted = fit_mahalanobis(learnt.features, inputs.cohort.labels()[learnt.rows], len(inputs.cohort.classes))
    except ValueError:
        return None
    cautions.write_distance(job.out, fitted)
    kept = cautions.read_distance((job.out / cautions.FILE).read_bytes(), name=str(job.out / cautions.FILE))
    return {part: kept.distance(one.features) for part, one in seen.items()}
