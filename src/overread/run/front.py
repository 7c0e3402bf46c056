"""`overread.train`, `overread.audit_cohort` and `overread.evaluate_model`: each of these jobs as one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.data.cohort import CohortSettings
from overread.errors import SettingsError
from overread.run.job import Job
from overread.settings import ImageSettings, TrainSettings, from_dict, recipe_settings

if TYPE_CHECKING:
    from overread.audit.audit import Audit
    from overread.evaluate.second_read import SecondRead
    from overread.run.outputs import Outcome
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
    from overread.run.train import train as train_job

    job = _job(source, recipe=recipe, settings=settings, call="train")
    return train_job(dataclasses.replace(job, out=Path(out), skip_bad=skip_bad, workers=workers), watch=watch)


def audit_cohort(
    source: str | Path,
    *,
    ignore: Mapping[str, str] | None = None,
    workers: int = 0,
    watch: Watcher | None = None,
    **settings: Any,
) -> Audit:
    """Look for what would make a model's figures too good; nothing is trained, and nothing is written.

    `settings` as for `train`; `ignore`: the reason for each check that is to be left out of the verdict, by its code.
    `overread.audit_cohort("scans/").verdict` is one sentence, `.findings` are the findings, the gravest first.
    """
    from overread.run.audit import audit_source

    job = _job(source, recipe="default", settings=settings, call="audit_cohort")
    return audit_source(dataclasses.replace(job, ignore=ignore or {}, workers=workers), watch=watch)


def evaluate_model(
    model: str | Path,
    source: str | Path | None = None,
    *,
    out: str | Path,
    operating: str = "youden",
    prevalence: float | None = None,
    skip_bad: bool = False,
    workers: int = 0,
    watch: Watcher | None = None,
    **settings: Any,
) -> SecondRead:
    """Read a model a second time, on labelled images from elsewhere, or on its own test part; needs no torch.

    Writes the report into `out`. `settings` are fields of CohortSettings. `.verdict.words` says whether to believe
    it, `.score.figure("auroc")` how good it is. Raises ModelError, CohortError, BadInputsError or RunError.
    """
    from overread.run.evaluate import Evaluation, evaluate

    asked = Evaluation(
        model=Path(model),
        out=Path(out),
        source=None if source is None else Path(source),
        cohort=from_dict(CohortSettings, settings),
        operating=operating,
        prevalence=prevalence,
        skip_bad=skip_bad,
        workers=workers,
    )
    return evaluate(asked, watch=watch)


def _job(source: str | Path, *, recipe: str, settings: Mapping[str, Any], call: str) -> Job:
    """A job of settings by name, whichever of the three kinds they are of."""
    kinds = (TrainSettings, ImageSettings, CohortSettings)
    fields = {f.name: kind for kind in kinds for f in dataclasses.fields(kind)}
    given: dict[type, dict[str, Any]] = {kind: {} for kind in kinds}
    for name, value in settings.items():
        if name not in fields:
            raise SettingsError(f"{name} is not a setting of overread.{call}. See overread train --help.")
        given[fields[name]][name] = value
    return Job(
        source=Path(source),
        out=Path(),
        train=recipe_settings(recipe, **given[TrainSettings]),
        image=from_dict(ImageSettings, given[ImageSettings]),
        cohort=from_dict(CohortSettings, given[CohortSettings]),
    )
