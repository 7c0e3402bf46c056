"""What a trained network leaves behind: its test figures, its predictions, its pictures, and the model folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from overread.audit.audit import Audit
from overread.disk import write_atomically
from overread.evaluate import second_read as reading
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import write_predictions
from overread.evaluate.score import FILE as METRICS
from overread.evaluate.score import Score, read_score
from overread.evaluate.verdict import Verdict
from overread.explain.examples import write_examples
from overread.explain.trust import FILE as EXPLANATION
from overread.model import bundle
from overread.model.bundle import Card
from overread.model.weights import Weights
from overread.run.inputs import Inputs
from overread.run.job import SPLIT, Job, versions
from overread.run.pictures import draw_pictures
from overread.run.result import read_result, write_pages
from overread.run.saying import say_all
from overread.run.speaker import Speaker
from overread.training.history import History
from overread.training.watch import Watcher

HISTORY = "history.csv"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: what its model folder says, as objects."""

    folder: Path
    card: Card
    history: History
    score: Score
    verdict: Verdict | None = None
    """whether to believe it; None where the run was read back from its folder"""

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
    speaker: Speaker,
    write_network: Callable[[Path], None],
    weights: Weights,
    history: History,
    audit: Audit | None,
    marks: tuple[str, ...],
    watch: Watcher,
) -> Outcome:
    """Score the test part once, draw, write the network, and seal the model folder.

    `speaker` is the network at its best epoch, and `write_network` puts it into a file. `marks` are the sentences
    that every output of the model must carry.
    """
    said = say_all(job, inputs=inputs, speaker=speaker, watch=watch)
    watch.say("Reading the result a second time")
    result = read_result(job, inputs=inputs, said=said, audit=audit, marks=marks)
    found, read = said.found, result.read
    write_atomically(job.out / HISTORY, history.to_csv())
    write_predictions(job.out / PREDICTIONS, found)
    bundle.write_json(job.out / METRICS, read.score.to_json())
    bundle.write_json(job.out / reading.FILE, read.to_json())
    bundle.write_json(job.out / EXPLANATION, result.explained.to_json())
    write_examples(job.out, result.examples)
    watch.say("Drawing figures")
    draw_pictures(
        job,
        inputs=inputs,
        probabilities=found.part("test").probabilities,
        scored=read.score,
        history=history,
        marks=marks,
    )
    write_pages(job, inputs=inputs, weights=weights, history=history, result=result)
    write_network(job.out / bundle.NETWORK)
    card = Card(
        backbone=weights.backbone,
        classes=inputs.cohort.classes,
        image=inputs.image,
        mean=weights.mean,
        std=weights.std,
        weights_source=weights.source,
        marks=marks,
        caution=said.caution,
        best_epoch=history.best_epoch(job.train.select),
        versions=versions(),
    )
    card = bundle.seal(job.out, card)
    return Outcome(folder=job.out, card=card, history=history, score=read.score, verdict=read.verdict)


def read_outcome(folder: Path) -> Outcome:
    """Read a finished run back, after checking every hash. Raises ModelError where anything is missing or changed."""
    card = bundle.load_card(folder)
    history = History.from_csv((folder / HISTORY).read_text(encoding="utf-8"))
    return Outcome(folder=folder, card=card, history=history, score=read_score(folder))


def n_learnt_from(folder: Path) -> int:
    """How many patients a run's network has learnt from; images, where a patient is not known."""
    with (folder / SPLIT).open(encoding="utf-8", newline="") as stream:
        patients = [row["patient"] for row in csv.DictReader(stream) if row["split"] == "train"]
    return len(set(patients)) if all(patients) else len(patients)
