"""Labelled images from elsewhere, read as the model reads them: what an external validation is made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.audit.audit import Audit, audit
from overread.audit.subject import Subject
from overread.data.cache import build_cache
from overread.data.cohort import Cohort, CohortSettings, Problem, read_cohort
from overread.data.measures import Measures
from overread.data.rows import HARMLESS, count_problems, show_problems
from overread.errors import BadInputsError, CohortError
from overread.evaluate.predictions import Predictions, gather_predictions
from overread.predict import BATCH, Predictor
from overread.report.pictured import FindPixels, in_grey
from overread.training.watch import Watcher

EXTERNAL = "external"
SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Images from elsewhere, as the network sees them."""

    cohort: Cohort
    pixels: NDArray[np.uint8]
    places: NDArray[np.int64]
    measures: Measures
    """(n, k), what was measured of each frame's own values"""

    def find(self, window: str) -> FindPixels:
        """Where the prepared image of a path and frame is found."""
        places = {(row.path, row.frame): at for row, at in zip(self.cohort.rows, self.places, strict=True)}

        def find(path: str, frame: int) -> NDArray[np.uint8] | None:
            at = places.get((path, frame))
            return None if at is None else in_grey(np.asarray(self.pixels[at]), window)

        return find

    def audit(self, *, seed: int, watch: Watcher) -> Audit:
        """Their shortcuts, copies and faults; there is no split to look at."""
        subject = Subject(
            cohort=self.cohort, pixels=self.pixels, places=self.places, measures=self.measures, seed=seed
        )
        return audit(subject, progress=lambda done, total: watch.step("checks", done, total))

    def predict(self, predictor: Predictor, watch: Watcher) -> Predictions:
        """What the model says of each image, in the part `external`."""
        said = []
        n = len(self.places)
        for start in range(0, n, BATCH):
            said.append(predictor.say(np.asarray(self.pixels[self.places[start : start + BATCH]])))
            watch.step("predicting", min(start + BATCH, n), n)
        distances = [one.distance for one in said if one.distance is not None]
        return gather_predictions(
            self.cohort.rows,
            np.concatenate([one.probabilities for one in said]),
            classes=predictor.card.classes,
            parts=[EXTERNAL] * n,
            distance=np.concatenate(distances) if len(distances) == len(said) else None,
        )


def read_elsewhere(
    source: Path,
    settings: CohortSettings,
    predictor: Predictor,
    *,
    folder: Path,
    skip_bad: bool,
    workers: int,
    watch: Watcher,
) -> Elsewhere:
    """Read the images into `folder`, as the model was trained to see them.

    Raises CohortError for classes that the model does not know, BadInputsError for images that cannot be read, unless
    they are to be left out.
    """
    watch.say(f"Reading {source.name}")
    listed = read_cohort(source, settings)
    others = sorted(set(listed.classes) - set(predictor.card.classes))
    if others:
        raise CohortError(
            f"{source} has classes that the model does not know: {', '.join(others)}. It knows "
            f"{', '.join(predictor.card.classes)}. Rename them, or leave these images out."
        )
    cache = build_cache(
        listed,
        predictor.card.image,
        folder=folder,
        workers=workers,
        progress=lambda done, total: watch.step("reading images", done, total),
    )
    _stop_at((*listed.problems, *cache.problems), skip_bad, watch)
    places = np.asarray(cache.good, dtype=np.int64)
    return Elsewhere(
        cohort=listed.subset(places), pixels=cache.pixels, places=places, measures=cache.measures[places]
    )


def _stop_at(problems: Sequence[Problem], skip_bad: bool, watch: Watcher) -> None:
    bad = [problem for problem in problems if problem.kind not in HARMLESS]
    if not bad:
        return
    lines = [f"{count_problems(bad)}.", *show_problems(bad, at_most=SHOWN)]
    if not skip_bad:
        raise BadInputsError("\n".join([*lines, "Mend them, or leave them out with --skip-bad."]))
    watch.say(f"Left out: {lines[0]}")
