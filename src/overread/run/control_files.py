"""What controls leave beside their trainings: a row a training, the sentences with their numbers, and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overread import __version__
from overread.evaluate.repeated import FIGURES
from overread.model.bundle import write_json
from overread.report.controls import FILE as PAGE
from overread.report.controls import ArmRow, ControlsPage, write_controls
from overread.report.page import today
from overread.run.inputs import write_csv
from overread.run.outputs import n_learnt_from

if TYPE_CHECKING:
    from overread.evaluate.controls import Arm
    from overread.run.controls import Controls
    from overread.run.job import Job

TABLE, WORDS = "controls.csv", "controls.json"
NAMES = (TABLE, WORDS, PAGE)


def write(found: Controls, job: Job) -> None:
    """Write `controls.csv`, `controls.json` and `controls.html`."""
    header = [
        "run",
        "split",
        "shuffled",
        "train_share",
        "repeat",
        "seed",
        "learnt_from",
        "images",
        "patients",
    ]
    header += [column for name in FIGURES for column in (name, f"{name} low", f"{name} high")]
    rows: list[list[object]] = []
    for trial in found.trials:
        scored, arm = trial.outcome.score, trial.arm
        figures = [scored.figure(name) for name in FIGURES]
        rows.append([
            trial.name, arm.split, arm.shuffled, arm.share, trial.repeat, job.train.seed + trial.repeat - 1,
            n_learnt_from(trial.outcome.folder), scored.n_images, scored.n_patients,
            *(value for one in figures for value in (one.value, one.low, one.high)),
        ])  # fmt: skip
    write_csv(job.out / TABLE, header, rows)
    arms = {arm.name: [found.figure(arm, name).to_json() for name in FIGURES] for arm in found.arms}
    told = [one.to_json() for one in found.told]
    write_json(job.out / WORDS, {"n_repeats": found.n_repeats, "told": told, "figures": arms})
    write_controls(job.out / PAGE, _page(found, job))


def arm_row(found: Controls, arm: Arm) -> ArmRow:
    """One line of a table of arms."""
    trained = [n_learnt_from(trial.outcome.folder) for trial in found.of(arm)]
    return ArmRow(
        arm=arm,
        trained_on=round(sum(trained) / len(trained)),
        auroc=found.figure(arm, "auroc"),
        accuracy=found.figure(arm, "accuracy"),
        balanced_accuracy=found.figure(arm, "balanced_accuracy"),
    )


def _page(found: Controls, job: Job) -> ControlsPage:
    return ControlsPage(
        name=job.out.name,
        dataset=job.source.name,
        written=today(),
        version=__version__,
        told=found.told,
        rows=tuple(arm_row(found, arm) for arm in found.arms),
        classes=tuple(found.trials[0].outcome.score.classes),
        n_repeats=found.n_repeats,
        network=found.trials[0].outcome.card.backbone,
    )
