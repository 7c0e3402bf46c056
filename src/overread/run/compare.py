"""Which of several networks is better: on one test part, over the same folds, or as finished runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from overread import __version__
from overread.errors import CohortError, ModelError
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import Predictions, read_predictions
from overread.evaluate.rank import Pair, pairs, pairs_of_folds, ranking_in_words
from overread.evaluate.score import Score, read_score
from overread.model.bundle import write_json
from overread.report.comparison import FILE as PAGE
from overread.report.comparison import write_comparison
from overread.stats.intervals import Measured

FILE = "comparison.json"


def compare_tested(
    runs: Mapping[str, Path], *, margin: float | None = None, out: Path | None = None, seed: int = 0
) -> str:
    """Test every two networks on their common test part, and say what may be said of them.

    runs: by name, folders that `overread train` or `overread evaluate` wrote. Accuracy for any number of classes, and
    the AUROC for two. With `out`, `comparison.json` and `comparison.html` are written there. Raises CohortError where
    the images differ.
    """
    scores = {name: read_score(folder) for name, folder in runs.items()}
    found = {name: _tested(name, folder, scores[name]) for name, folder in runs.items()}
    first = next(iter(scores.values()))
    if len({one.classes for one in scores.values()}) > 1:
        raise CohortError("The networks know different classes: they cannot be compared.")
    tested = {"accuracy": pairs(found, figure="accuracy", positive=None, seed=seed, margin=margin)}
    if first.positive is not None:
        tested["auroc"] = pairs(found, figure="auroc", positive=first.positive, seed=seed, margin=margin)
    return _tell(tested, {name: one.measured for name, one in scores.items()}, score=first, out=out)


def tell_of_folds(
    figures: Mapping[str, Mapping[str, Sequence[float]]],
    pooled: Mapping[str, Sequence[Measured]],
    *,
    n_train: int,
    n_test: int,
    score: Score,
    out: Path,
    margin: float | None = None,
) -> str:
    """Test every two ways of training by their folds, and say what may be said of them.

    figures: for each kind of figure and each network a value a fold. pooled: the figures of each network on all folds
    together. n_train, n_test: patients in a fold's parts. score: of any network on all folds.
    """
    tested = {
        name: pairs_of_folds(
            by_network, figure=name, n_train=n_train, n_test=n_test, n_patients=score.n_patients, margin=margin
        )
        for name, by_network in figures.items()
        if not any(math.isnan(value) for values in by_network.values() for value in values)
    }
    return _tell(tested, pooled, score=score, out=out)


def _tested(name: str, folder: Path, score: Score) -> Predictions:
    """The predictions that a run's figures are of."""
    found = read_predictions(folder / PREDICTIONS).part(score.part)
    if not len(found):
        raise ModelError(f"{PREDICTIONS} of {name} has no images of the part {score.part}. Train again.")
    return found


def _tell(
    tested: Mapping[str, tuple[Pair, ...]],
    networks: Mapping[str, Sequence[Measured]],
    *,
    score: Score,
    out: Path | None,
) -> str:
    sentences = [ranking_in_words(some) for some in tested.values()]
    if out is not None:
        write_json(out / FILE, {name: [pair.to_json() for pair in some] for name, some in tested.items()})
        write_comparison(out / PAGE, networks, tested, sentences=sentences, score=score, version=__version__)
    return "\n".join(sentences)
