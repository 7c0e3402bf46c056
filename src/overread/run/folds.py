"""Cross-validation: each patient tested once, by a network that has not learnt from that patient."""

from __future__ import annotations

import dataclasses
import re
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from overread.audit.audit import FILE as AUDIT
from overread.data.cohort import Cohort, read_cohort
from overread.data.divide import groups_by_class
from overread.data.groups import cohort_groups
from overread.data.split import split_cohort
from overread.data.split_rule import read_rule
from overread.errors import SettingsError, SplitError
from overread.evaluate.average import Spread, mean_measured, spread
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import Predictions, read_predictions
from overread.evaluate.score import Score, score
from overread.run import fold_files, many
from overread.run.compare import tell_of_folds
from overread.run.job import CACHE, Job
from overread.run.outputs import Outcome, n_learnt_from
from overread.stats.intervals import Measured
from overread.training.watch import Watcher

COMPARED = ("accuracy", "auroc")
SPREAD_OF = ("accuracy", "balanced_accuracy", "auroc", "f1")
MOST_REPEATS = 100


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One training of a cross-validation, and what it found on the patients that it was tested on."""

    name: str
    """of its folder"""
    held_out: str
    """the number of the fold, or the site"""
    repeat: int
    """from 1"""
    outcome: Outcome
    predictions: Predictions
    """of its test part"""
    n_train: int
    """patients that its network has learnt from; images, where patients are not known"""


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Every fold, and what they come to together."""

    kind: str
    """fold or site"""
    folds: tuple[Fold, ...]
    repeats: tuple[Score, ...]
    """for each repeat the figures on every image, each predicted by the network that was not trained on it"""
    marks: tuple[str, ...]

    @property
    def pooled(self) -> tuple[Measured, ...]:
        """Every figure on all images together; of several repeats, the mean."""
        return tuple(
            mean_measured(same, of="repeats") for same in zip(*(r.measured for r in self.repeats), strict=True)
        )

    @property
    def spreads(self) -> tuple[Spread, ...]:
        """The mean over the folds, and their spread, of the figures that a table shows."""
        return tuple(
            spread(name, [fold.outcome.score.figure(name).value for fold in self.folds]) for name in SPREAD_OF
        )


def cross_validate(
    job: Job,
    *,
    n_folds: int,
    n_repeats: int = 1,
    watch: Watcher | None = None,
    side_by_side: many.SideBySide | None = None,
) -> CrossValidation:
    """Train `n_folds` times, each patient being in the test part once; all that again for each repeat's seed.

    Everything goes below `job.out`; the same call goes on where one was stopped. Raises SettingsError for numbers
    out of range, SplitError where a class has too few patients, before anything is trained.
    """
    _check_numbers(n_folds, n_repeats)
    _check_patients(read_cohort(job.source, job.cohort), n_folds)
    rules = {str(fold): f"fold:{fold}/{n_folds}" for fold in range(1, n_folds + 1)}
    return _run(job, rules, "fold", n_repeats, watch, side_by_side)


def leave_sites_out(
    job: Job, *, n_repeats: int = 1, watch: Watcher | None = None, side_by_side: many.SideBySide | None = None
) -> CrossValidation:
    """Train once for each site, which is tested on; as `cross_validate` otherwise.

    Raises SplitError, before anything is trained, where fewer than two sites are known or one cannot be tested on.
    """
    _check_numbers(2, n_repeats)
    cohort = read_cohort(job.source, job.cohort)
    sites = sorted({row.site for row in cohort.rows if row.site})
    if len(sites) < 2:
        raise SplitError(
            f"--leave-one-site-out needs two sites or more, found {len(sites)}. Name the column by --site-column."
        )
    _check_sites(cohort, sites, job)
    return _run(job, {site: f"site:{site}" for site in sites}, "site", n_repeats, watch, side_by_side)


def cross_validate_each(
    jobs: Mapping[str, Job],
    *,
    out: Path,
    n_folds: int,
    n_repeats: int = 1,
    watch: Watcher | None = None,
    side_by_side: many.SideBySide | None = None,
) -> dict[str, CrossValidation]:
    """Cross-validate several networks on the same folds, each in a folder of its own below `out`."""
    many.check_ours(out, set(jobs))
    found: dict[str, CrossValidation] = {}
    for name, job in jobs.items():
        first = next(iter(found.values())).folds[0].outcome.folder / AUDIT if found and job.audit else None
        job = dataclasses.replace(job, out=out / name, cache=out / CACHE, audited=first)
        found[name] = cross_validate(
            job, n_folds=n_folds, n_repeats=n_repeats, watch=watch, side_by_side=side_by_side
        )
    shutil.rmtree(out / CACHE, ignore_errors=True)
    return found


def compare_folds(found: Mapping[str, CrossValidation], *, out: Path, margin: float | None = None) -> str:
    """Test every two networks by their figures fold by fold, write `comparison.json`, and say what may be said."""
    first = next(iter(found.values()))
    scores = [fold.outcome.score for fold in first.folds]
    figures = {
        name: {
            network: [fold.outcome.score.figure(name).value for fold in one.folds] for network, one in found.items()
        }
        for name in COMPARED
    }
    return tell_of_folds(
        figures,
        {name: one.pooled for name, one in found.items()},
        n_train=round(statistics.fmean(fold.n_train for fold in first.folds)),
        n_test=round(statistics.fmean(score.n_patients or score.n_images for score in scores)),
        score=first.repeats[0],
        out=out,
        margin=margin,
    )


def plan(job: Job, rules: dict[str, str], *, kind: str, n_repeats: int) -> dict[str, tuple[str, int, Job]]:
    """What is held out, the repeat and the job, by the name of its folder. `rules`: each with its --split."""
    planned = {}
    for repeat in range(1, n_repeats + 1):
        seed = job.train.seed + repeat - 1
        for held_out, rule in rules.items():
            name = f"{kind}-{_file_name(held_out)}" + (f"-repeat-{repeat}" if n_repeats > 1 else "")
            while name in planned:  # two sites that differ in characters which a folder cannot have
                name += "-"
            train = dataclasses.replace(job.train, split=rule, seed=seed)
            planned[name] = (held_out, repeat, dataclasses.replace(job, train=train))
    return planned


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text)


def _run(
    job: Job,
    rules: dict[str, str],
    kind: str,
    n_repeats: int,
    watch: Watcher | None,
    side_by_side: many.SideBySide | None,
) -> CrossValidation:
    planned = plan(job, rules, kind=kind, n_repeats=n_repeats)
    jobs = {name: one for name, (_, _, one) in planned.items()}
    outcomes = many.run_all(jobs, out=job.out, watch=watch, beside=fold_files.NAMES, side_by_side=side_by_side)
    folds = tuple(_read_fold(name, outcomes[name], *planned[name][:2]) for name in planned)
    found = CrossValidation(
        kind=kind,
        folds=folds,
        repeats=tuple(
            _pool([fold.predictions for fold in folds if fold.repeat == repeat], job)
            for repeat in range(1, n_repeats + 1)
        ),
        marks=tuple(dict.fromkeys(mark for fold in folds for mark in fold.outcome.card.marks)),
    )
    fold_files.write(found, job.out)
    return found


def _read_fold(name: str, outcome: Outcome, held_out: str, repeat: int) -> Fold:
    return Fold(
        name=name,
        held_out=held_out,
        repeat=repeat,
        outcome=outcome,
        predictions=read_predictions(outcome.folder / PREDICTIONS).part("test"),
        n_train=n_learnt_from(outcome.folder),
    )


def _pool(parts: Sequence[Predictions], job: Job) -> Score:
    """The figures on the test images of all folds together."""
    return score(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        [patient for part in parts for patient in part.patients],
        parts[0].classes,
        rng=np.random.default_rng(job.train.seed),
        positive=job.train.positive,
    )


def _check_numbers(n_folds: int, n_repeats: int) -> None:
    if not 1 <= n_repeats <= MOST_REPEATS:
        raise SettingsError(f"--repeats {n_repeats} is out of range; it lies between 1 and {MOST_REPEATS}.")
    if not 2 <= n_folds <= 100:
        raise SettingsError(f"--folds {n_folds} is out of range; it lies between 2 and 100.")


def _check_patients(cohort: Cohort, n_folds: int) -> None:
    """Refuse more folds than a class has patients; where none is known, that shows once the images are read."""
    if cohort.patients_from == "none":
        return
    n_groups = groups_by_class(cohort_groups(cohort), cohort.labels(), len(cohort.classes))
    fewest, needed = int(n_groups.min()), read_rule(f"fold:1/{n_folds}", cohort).groups_needed
    if fewest >= needed:
        return
    counts = ", ".join(f"{name}: {n}" for name, n in zip(cohort.classes, n_groups, strict=True))
    do = f"Give --folds {fewest}, add patients" if fewest >= 3 else "Add patients"
    small = cohort.classes[int(n_groups.argmin())]
    raise SplitError(
        f"--folds {n_folds} needs {needed} patients in each class, and class {small} has {fewest} ({counts}). {do}, "
        "or leave the class out."
    )


def _check_sites(cohort: Cohort, sites: Sequence[str], job: Job) -> None:
    """Try the division for every site, so that the last one is not refused after the others were trained."""
    val, test = job.train.val_fraction, job.train.test_fraction
    for site in sites:
        try:
            split_cohort(cohort, by=f"site:{site}", fractions=(1 - val - test, val, test), seed=job.train.seed)
        except SplitError as refusal:
            raise SplitError(f"Site {site} cannot be tested on by the others: {refusal}") from None
