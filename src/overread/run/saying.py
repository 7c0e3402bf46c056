"""What the trained network says of the parts that it has not learnt from, and how sure it may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.evaluate.calibrate import fit_caution
from overread.evaluate.predictions import Predictions, gather_predictions
from overread.model import caution as cautions
from overread.model.caution import Caution
from overread.model.maps import ThreeOutputs
from overread.model.weights import Weights
from overread.run.inputs import Inputs
from overread.run.job import Job
from overread.stats.outlying import fit_mahalanobis
from overread.training.batches import Normaliser, Part
from overread.training.loop import choose_machine, predict_logits
from overread.training.watch import Watcher

MOST_LEARNT = 5000
"""training images that the distance is fitted on: more would take memory, and move it little"""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the network gives for one part: (n, k) and (n, d)."""

    logits: Matrix
    features: Matrix


class _LogitsAndFeatures(nn.Module):
    """Both in one row, so that one pass is enough."""

    def __init__(self, network: nn.Module, *, size_px: int) -> None:
        super().__init__()
        self.outputs = ThreeOutputs(network, size_px=size_px)

    def forward(self, images: Tensor) -> Tensor:
        logits, features, _ = self.outputs(images)
        return torch.cat([logits, features], dim=1)


def say_all(
    job: Job, *, inputs: Inputs, network: nn.Module, weights: Weights, watch: Watcher
) -> tuple[Predictions, Caution]:
    """Predict every part but the training part, and fit the caution on the calibration part, or the validation part.

    Writes what the distance from the training images is measured by into `job.out`.
    """
    parts = [part for part in ("val", "calibrate", "test") if len(inputs.split.indices(part))]
    seen = {part: _see(network, inputs.part(part), inputs, weights, job, watch, part) for part in parts}
    fitted_on = "calibrate" if "calibrate" in seen else "val"
    distance = _distances(job, inputs, network, weights, watch, seen)
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
    return found, caution


def _see(
    network: nn.Module, part: Part, inputs: Inputs, weights: Weights, job: Job, watch: Watcher, name: str
) -> _Seen:
    both = predict_logits(
        _LogitsAndFeatures(network, size_px=inputs.image.size_px),
        part,
        normalise=Normaliser(weights.mean, weights.std),
        machine=choose_machine(job.train),
        watch=watch,
        what=f"predicting the {name} part",
    ).astype(np.float64)
    k = len(inputs.cohort.classes)
    return _Seen(logits=both[:, :k], features=both[:, k:])


def _distances(
    job: Job, inputs: Inputs, network: nn.Module, weights: Weights, watch: Watcher, seen: dict[str, _Seen]
) -> dict[str, Matrix] | None:
    """How far the images of each part lie from the training images: (n,) a part; None where these are all alike."""
    learnt = inputs.part("train")
    if len(learnt) > MOST_LEARNT:
        some = np.sort(np.random.default_rng(job.train.seed).permutation(len(learnt))[:MOST_LEARNT])
        learnt = Part(pixels=learnt.pixels, indices=learnt.indices[some], labels=learnt.labels[some])
    features = _see(network, learnt, inputs, weights, job, watch, "training").features
    try:
        fitted = fit_mahalanobis(features, learnt.labels, len(inputs.cohort.classes))
    except ValueError:
        return None
    cautions.write_distance(job.out, fitted)
    kept = cautions.read_distance((job.out / cautions.FILE).read_bytes(), name=_name(job.out))
    return {part: kept.distance(one.features) for part, one in seen.items()}


def _name(folder: Path) -> str:
    return str(folder / cautions.FILE)
