"""What a trained network leaves behind: its test figures, its predictions, its pictures, and the model folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from overread.disk import write_atomically
from overread.errors import ModelError
from overread.evaluate.predictions import write_predictions
from overread.evaluate.score import Score, score
from overread.model import bundle
from overread.model.bundle import Card
from overread.model.export import export_onnx
from overread.model.weights import Weights
from overread.run.inputs import Inputs
from overread.run.job import Job, versions
from overread.run.pictures import draw_pictures
from overread.stats.metrics import softmax
from overread.training.batches import Normaliser
from overread.training.history import History
from overread.training.loop import choose_machine, predict_logits
from overread.training.watch import Watcher

METRICS = "metrics.json"
HISTORY = "history.csv"
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: what its model folder says, as objects."""

    folder: Path
    card: Card
    history: History
    score: Score

    def figures(self) -> dict[str, float]:
        """Every test figure by a name that is unique: `auroc`, `sensitivity tumor`, ..."""
        return {f"{m.name} {m.label}" if m.label else m.name: m.value for m in self.score.measured}

    @property
    def best_val_accuracy(self) -> float:
        """The highest validation accuracy of any epoch: what the paper reports."""
        return max((row.val_accuracy for row in self.history), default=math.nan)


def finish_run(
    job: Job,
    *,
    inputs: Inputs,
    network: nn.Module,
    weights: Weights,
    history: History,
    marks: tuple[str, ...],
    watch: Watcher,
) -> Outcome:
    """Score the test part once, draw, export, and seal the model folder. `network` holds its best epoch.

    `marks` are the sentences that every output of the model must carry.
    """
    probabilities = {part: _probabilities(network, inputs, part, weights, job, watch) for part in ("val", "test")}
    scored = score(
        inputs.part("test").labels,
        probabilities["test"],
        inputs.patients("test"),
        inputs.cohort.classes,
        rng=np.random.default_rng(job.train.seed),
        positive=job.train.positive,
    )
    write_atomically(job.out / HISTORY, history.to_csv())
    bundle.write_json(job.out / METRICS, scored.to_json())
    _write_predictions(job.out / PREDICTIONS, inputs, probabilities)
    watch.say("Drawing figures")
    draw_pictures(
        job, inputs=inputs, probabilities=probabilities["test"], scored=scored, history=history, marks=marks
    )
    watch.say("Writing model.onnx, and checking that it gives the same probabilities")
    export_onnx(network.float(), job.out / bundle.NETWORK, size_px=inputs.image.size_px)
    card = Card(
        backbone=weights.backbone,
        classes=inputs.cohort.classes,
        image=inputs.image,
        mean=weights.mean,
        std=weights.std,
        weights_source=weights.source,
        marks=marks,
        best_epoch=history.best_epoch(job.train.select),
        versions=versions(),
    )
    card = bundle.seal(job.out, card)
    return Outcome(folder=job.out, card=card, history=history, score=scored)


def read_outcome(folder: Path) -> Outcome:
    """Read a finished run back, after checking every hash. Raises ModelError where anything is missing or changed."""
    card = bundle.load_card(folder)
    try:
        scored = Score.from_json(json.loads((folder / METRICS).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ModelError(f"{folder / METRICS} cannot be read: {fault}. Train again.") from fault
    history = History.from_csv((folder / HISTORY).read_text(encoding="utf-8"))
    return Outcome(folder=folder, card=card, history=history, score=scored)


def _probabilities(
    network: nn.Module, inputs: Inputs, part: str, weights: Weights, job: Job, watch: Watcher
) -> NDArray[np.float64]:
    logits = predict_logits(
        network,
        inputs.part(part),
        normalise=Normaliser(weights.mean, weights.std),
        machine=choose_machine(job.train),
        watch=watch,
        what=f"predicting the {part} part",
    )
    return softmax(logits)


def _write_predictions(path: Path, inputs: Inputs, probabilities: dict[str, NDArray[np.float64]]) -> None:
    places = np.concatenate([inputs.split.indices(part) for part in probabilities])
    write_predictions(
        path,
        [inputs.cohort.rows[place] for place in places],
        np.concatenate(list(probabilities.values())),
        classes=inputs.cohort.classes,
        parts=[inputs.split.parts[place] for place in places],
    )
