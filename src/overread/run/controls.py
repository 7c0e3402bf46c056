"""Controls: trainings that are made to show what a figure rests on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from overread.data.cohort import Cohort, read_cohort
from overread.data.control import ControlSettings, shuffle_labels, shuffled_name
from overread.data.split import check_patients, split_cohort
from overread.errors import SettingsError, SplitError
from overread.evaluate.controls import ARMS, HALF, PATIENT, Arm, Told, arms_of, tell
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import read_predictions
from overread.evaluate.repeated import FIGURES, Scored, change, over_repeats
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
    tested: Scored


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Every training, and what the controls say."""

    trials: tuple[Trial, ...]
    told: tuple[Told, ...]
    n_repeats: int
    figures: Mapping[tuple[Arm, str], Measured]
    """of each arm on its test part, by name; of several repeats, the mean"""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What was trained, in its order."""
        return tuple(dict.fromkeys(trial.arm for trial in self.trials))

    def of(self, arm: Arm) -> tuple[Trial, ...]:
        """The trials of one arm."""
        return tuple(trial for trial in self.trials if trial.arm == arm)

    def figure(self, arm: Arm, name: str) -> Measured:
        """A figure of one arm on its test part; of several repeats, the mean."""
        return self.figures[arm, name]


def run_controls(
    job: Job, *, only: Sequence[str] = tuple(ARMS), n_repeats: int = 1, watch: Watcher | None = None
) -> Controls:
    """Train what the controls ask for, each once, below `job.out`; the same call goes on where one was stopped.

    Every training has the same settings but for its division, its labels and its patients. Raises SettingsError for
    unknown controls; SplitError, before anything is trained, where patients are unknown, have one image each, or are
    so few that a test part cannot have an interval.
    """
    _check(only, n_repeats)
    planned = plan(job, only, n_repeats)
    _check_cohort(read_cohort(job.source, job.cohort), planned)
    jobs = {name: one for name, (_, _, one) in planned.items()}
    outcomes = many.run_all(jobs, out=job.out, watch=watch, beside=control_files.NAMES)
    trials = tuple(
        Trial(name=name, arm=arm, repeat=repeat, outcome=outcomes[name], tested=_tested(outcomes[name]))
        for name, (arm, repeat, _) in planned.items()
    )
    found = _measure(trials, only, n_repeats)
    control_files.write(found, job)
    return found


def _tested(outcome: Outcome) -> Scored:
    return Scored(predictions=read_predictions(outcome.folder / PREDICTIONS).part("test"), score=outcome.score)


def _measure(trials: Sequence[Trial], only: Sequence[str], n_repeats: int) -> Controls:
    """Every figure over the repeats, and what the controls say of them."""
    tested = {arm: [trial.tested for trial in trials if trial.arm == arm] for arm in arms_of(only)}
    figures = {(arm, name): over_repeats(name, runs) for arm, runs in tested.items() for name in FIGURES}
    gain = change("auroc", tested[HALF], tested[PATIENT]) if HALF in tested else None
    told = [tell(name, {arm: figures[arm, "auroc"] for arm in ARMS[name]}, gain=gain) for name in only]
    return Controls(trials=tuple(trials), told=tuple(told), n_repeats=n_repeats, figures=figures)


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


def _check_cohort(cohort: Cohort, planned: Mapping[str, tuple[Arm, int, Job]]) -> None:
    """Refuse a cohort of which the controls could say nothing, before the first of many trainings."""
    if cohort.patients_from == "none":
        raise SplitError(
            "Controls set a split by patient beside one by image, and no patient is known. Tell who is who: a "
            "patient column in a CSV, --patient-regex on the path, or DICOM files."
        )
    check_patients(cohort, "patient")
    counts = Counter(row.patient for row in cohort.rows if row.patient is not None)
    if max(counts.values()) == 1 and any(arm.split == "image" for arm, _, _ in planned.values()):
        raise SplitError(
            f"Each of the {len(counts)} patients has one image, so that a split by image is one by patient, and "
            "there is nothing to compare. What can be asked is --only learning."
        )
    for arm, _, job in planned.values():
        if arm.split == "patient" and arm.share == 1:
            _check_test_part(cohort, job)


def _check_test_part(cohort: Cohort, job: Job) -> None:
    """Divide as the run will, and refuse a test part with one patient of a class: no interval can be had of it."""
    val, test, seed = job.train.val_fraction, job.train.test_fraction, job.train.seed
    dealt = shuffle_labels(cohort, job.control, seed=seed)
    split = split_cohort(dealt, by="patient", fractions=(1 - val - test, val, test), seed=seed)
    tested = {(dealt.rows[row].label, dealt.rows[row].patient) for row in split.indices("test")}
    few, n = min(Counter(label for label, _ in sorted(tested)).items(), key=lambda item: item[1])
    if n < 2:
        raise SplitError(
            f"With --seed {seed} the test part has one patient of class {few}, and one shows nothing of how patients "
            f"differ. Give it a larger share than --test-fraction {test:g}, add patients, or leave the class out."
        )
