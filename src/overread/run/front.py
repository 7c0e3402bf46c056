"""`overread.train`: the whole job as one call."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from overread.data.cohort import CohortSettings
from overread.errors import SettingsError
from overread.run import train as stages
from overread.run.job import Job
from overread.run.outputs import Outcome
from overread.settings import ImageSettings, TrainSettings, from_dict, recipe_settings
from overread.training.watch import Watcher


def train(
    source: str | Path,
    *,
    out: str | Path,
    recipe: str = "default",
    skip_bad: bool = False,
    workers: int = 0,
    watch: Watcher | None = None,
    **settings: Any,
) -> Outcome:
    """Train and test a classifier, and write its model folder.

    `settings` are fields of TrainSettings, ImageSettings and CohortSettings by name, as on the command line:
    `overread.train("scans/", out="runs/first", epochs=5, window="brain")`. `workers` processes decode images; with
    more than none, call this under `if __name__ == "__main__":`.

    Raises OverreadError: SettingsError, CohortError, WeightsError or RunError, in words for their user.
    """
    kinds = (TrainSettings, ImageSettings, CohortSettings)
    fields = {f.name: kind for kind in kinds for f in dataclasses.fields(kind)}
    given: dict[type, dict[str, Any]] = {kind: {} for kind in kinds}
    for name, value in settings.items():
        if name not in fields:
            raise SettingsError(f"{name} is not a setting of overread.train. See overread train --help.")
        given[fields[name]][name] = value
    job = Job(
        source=Path(source),
        out=Path(out),
        train=recipe_settings(recipe, **given[TrainSettings]),
        image=from_dict(ImageSettings, given[ImageSettings]),
        cohort=from_dict(CohortSettings, given[CohortSettings]),
        skip_bad=skip_bad,
        workers=workers,
    )
    return stages.train(job, watch=watch)
