"""Controls: trainings that are made to show what a figure rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from overread.data.cohort import read_cohort
from overread.data.control import ControlSettings, shuffled_name
from overread.errors import SettingsError, SplitError
from overread.evaluate.average import mean_measured
from overread.evaluate.controls import ARMS, Arm, Told, arms_of, tell
from overread.run import control_files, many
from overread.run.folds import MOST_REPEATS
from overread.run.job import Job
from overread.run.outputs import Outcome
from overread.stats.intervals import Measured
from overread.training.watch import Watcher


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a control."""

    name: str
    """of its folder"""
    arm: Arm
    repeat: int
    """from 1"""
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Every training, and what the controls say."""

    trials: tuple[Trial, ...]
    told: tuple[Told, ...]
    n_repeats: int

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What was trained, in its order."""
        return tuple(dict.fromkeys(trial.arm for trial in self.trials))

    def of(self, arm: Arm) -> tuple[Trial, ...]:
        """The trials of one arm."""
        return tuple(trial for trial in self.trials if trial.arm == arm)

    def figure(self, arm: Arm, name: str) -> Measured:
        """A figure of one arm on its test part; of several repeats, the mean."""
        return mean_measured([one.outcome.score.figure(name) for one in self.of(arm)], of="repeats")


def run_controls(
    job: Job, *, only: Sequence[str] = tuple(ARMS), n_repeats: int = 1, watch: Watcher | None = None
) -> Controls:
    """Train what the controls ask for, each once, below `job.out`; the same call goes on where one was stopped.

    Every training has the same settings but for its division, its labels and its patients. Raises SettingsError for
    unknown controls, SplitError where no patient is known: a split by patient cannot be made then.
    """
    _check(only, n_repeats)
    if read_cohort(job.source, job.cohort).patients_from == "none":
        raise SplitError(
            "Controls set a split by patient beside one by image, and no patient is known. Tell who is who: a "
            "patient column in a CSV, --patient-regex on the path, or DICOM files."
        )
    planned = plan(job, only, n_repeats)
    jobs = {name: one for name, (_, _, one) in planned.items()}
    outcomes = many.run_all(jobs, out=job.out, watch=watch, beside=control_files.NAMES)
    trials = tuple(
        Trial(name=name, arm=arm, repeat=repeat, outcome=outcomes[name]) for name, (arm, repeat, _) in planned.items()
    )
    found = Controls(trials=trials, told=(), n_repeats=n_repeats)
    told = [tell(name, {arm: found.figure(arm, "auroc") for arm in ARMS[name]}) for name in only]
    found = dataclasses.replace(found, told=tuple(told))
    control_files.write(found, job)
    return found


def plan(job: Job, only: Sequence[str], n_repeats: int) -> dict[str, tuple[Arm, int, Job]]:
    """The arm, the repeat and the job of each training, by the name of its folder."""
    planned = {}
    for repeat in range(1, n_repeats + 1):
        for arm in arms_of(only):
            name = arm.name + (f"-repeat-{repeat}" if n_repeats > 1 else "")
            planned[name] = (arm, repeat, _job(job, arm, seed=job.train.seed + repeat - 1))
    return planned


def _job(job: Job, arm: Arm, *, seed: int) -> Job:
    positive = job.train.positive
    if arm.shuffled and positive is not None:
        positive = shuffled_name(positive)
    return dataclasses.replace(
        job,
        train=dataclasses.replace(job.train, split=arm.split, seed=seed, positive=positive),
        control=ControlSettings(shuffle_labels=arm.shuffled, train_share=arm.share),
        audit=False,
        ignore={},
    )


def _check(only: Sequence[str], n_repeats: int) -> None:
    for name in only:
        if name not in ARMS:
            raise SettingsError(f"--only {name} is no control; the controls are {', '.join(ARMS)}.")
    if not only:
        raise SettingsError(f"--only names no control; the controls are {', '.join(ARMS)}.")
    if not 1 <= n_repeats <= MOST_REPEATS:
        raise SettingsError(f"--repeats {n_repeats} is out of range; it lies between 1 and {MOST_REPEATS}.")
