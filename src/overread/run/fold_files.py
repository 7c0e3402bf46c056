"""What a cross-validation leaves beside its folds: every prediction, the pooled figures, and a row a fold."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.score import FILE as METRICS
from overread.model.bundle import write_json
from overread.run.inputs import write_csv

if TYPE_CHECKING:
    from overread.run.folds import CrossValidation

FOLDS = "folds.csv"
NAMES = (PREDICTIONS, METRICS, FOLDS)
POOLED = (
    "Pooled: each image was predicted by the one network that had not learnt from its patient, and all are measured "
    "together, patient by patient."
)
NOT_THE_SAME = (
    "The mean over folds is another figure than the pooled one: pooling ranks the scores of different networks "
    "against each other, for which they were not made, so a pooled AUROC is often lower (Forman & Scholz 2010)."
)
NO_INTERVAL = (
    "The spread over folds is no interval: their networks share most training patients (Bengio & Grandvalet 2004)."
)
WORDS = (POOLED, NOT_THE_SAME, NO_INTERVAL)
REPEATED = "With repeats, each pooled figure is the mean over the repeats, and so are the ends of its interval."


def words(found: CrossValidation) -> tuple[str, ...]:
    """How the figures are to be read, a sentence each."""
    return (*WORDS, REPEATED) if len(found.repeats) > 1 else WORDS


def write(found: CrossValidation, out: Path) -> None:
    """Write `predictions.csv`, `metrics.json` and `folds.csv`."""
    _write_predictions(found, out / PREDICTIONS)
    _write_folds(found, out / FOLDS)
    content = {
        "kind": "cross-validation" if found.kind == "fold" else "leave-one-site-out",
        "n_folds": len(found.folds) // len(found.repeats),
        "n_repeats": len(found.repeats),
        "marks": list(found.marks),
        "words": list(words(found)),
        "pooled": [measured.to_json() for measured in found.pooled],
        "over_folds": [one.to_json() for one in found.spreads],
        "repeats": [one.to_json() for one in found.repeats],
    }
    write_json(out / METRICS, content)


def _write_predictions(found: CrossValidation, path: Path) -> None:
    """The test lines of each fold's own table, and which fold and repeat they are of."""
    header: list[str] = []
    lines: list[list[object]] = []
    for fold in found.folds:
        with (fold.outcome.folder / PREDICTIONS).open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream)
            header = [*(table.fieldnames or ()), found.kind, "repeat"]
            lines += [[*row.values(), fold.held_out, fold.repeat] for row in table if row["split"] == "test"]
    write_csv(path, header, lines)


def _write_folds(found: CrossValidation, path: Path) -> None:
    figures = [(m.name, m.label) for m in found.folds[0].outcome.score.measured]
    names = [f"{name} {label}" if label else name for name, label in figures]
    header = [found.kind, "repeat", "run", "images", "patients", "best_epoch"]
    header += [column for name in names for column in (name, f"{name} low", f"{name} high")]
    rows: list[list[object]] = []
    for fold in found.folds:
        scored, card = fold.outcome.score, fold.outcome.card
        row: list[object] = [
            fold.held_out,
            fold.repeat,
            fold.name,
            scored.n_images,
            scored.n_patients,
            card.best_epoch,
        ]
        for name, label in figures:
            one = scored.figure(name, label)
            row += [one.value, one.low, one.high]
        rows.append(row)
    write_csv(path, header, rows)
