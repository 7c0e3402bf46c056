"""Several runs on the same images: one a seed, or one a network. The images are decoded once for all of them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from overread.audit.audit import FILE as AUDIT
from overread.disk import remove_leftovers
from overread.errors import RunError
from overread.model import bundle
from overread.model.internet import Internet
from overread.model.weights import choose_backbone
from overread.report.comparison import FILE as PAGE
from overread.run.compare import FILE as COMPARISON
from overread.run.inputs import write_csv
from overread.run.job import CACHE, RECORD, Job, read_record
from overread.run.outputs import Outcome, read_outcome
from overread.run.train import resume, train
from overread.training.watch import Silent, Watcher

TABLE = "runs.csv"

SideBySide = Callable[[Mapping[str, Job], Watcher], None]
"""trains several jobs, each in its folder"""


def by_seed(job: Job, n_seeds: int) -> dict[str, Job]:
    """The same job with n seeds from its own seed on; each has a split, a new layer and an order of its own."""
    first = job.train.seed
    return {
        f"seed-{seed}": dataclasses.replace(job, train=dataclasses.replace(job.train, seed=seed))
        for seed in range(first, first + n_seeds)
    }


def by_backbone(job: Job, backbones: Sequence[str]) -> dict[str, Job]:
    """The same job with several networks, on one split."""
    return {name: dataclasses.replace(job, train=dataclasses.replace(job.train, backbone=name)) for name in backbones}


def check_weights(jobs: dict[str, Job]) -> None:
    """Find every network's weights, so that a missing one ends the work before the first network has trained."""
    internet = Internet()
    for job in jobs.values():
        choose_backbone(job.train.backbone, job.train.weights, internet=internet)


def run_all(
    jobs: dict[str, Job],
    *,
    out: Path,
    watch: Watcher | None = None,
    beside: Collection[str] = (),
    side_by_side: SideBySide | None = None,
) -> dict[str, Outcome]:
    """Run every job in a folder of its own below `out`, and write `runs.csv`: a row a run, a column a figure.

    The same command, given again after Ctrl-C or a crash, keeps what has ended and does what is left. All
    train on the same images: what the first one's audit says of them holds for the others, whatever their division.
    `beside`: what the caller writes into `out` itself. `side_by_side` trains beforehand, several at once.
    """
    watch = watch or Silent()
    check_ours(out, {*jobs, *beside})
    remove_leftovers(out)
    placed = _placed(jobs, out)
    if side_by_side is not None:
        side_by_side(placed, watch)
    outcomes: dict[str, Outcome] = {}
    for number, (name, job) in enumerate(placed.items(), start=1):
        watch.say(f"Run {number} of {len(jobs)}: {name}")
        outcomes[name] = train_or_go_on(job, watch=watch)
    shutil.rmtree(out / CACHE, ignore_errors=True)
    columns, rows = as_table(outcomes)
    write_csv(out / TABLE, columns, rows)
    return outcomes


def _placed(jobs: dict[str, Job], out: Path) -> dict[str, Job]:
    """Each job with its own folder below `out`, one cache for all, and the first one's audit for the others."""
    placed: dict[str, Job] = {}
    for name, job in jobs.items():
        audited = out / next(iter(jobs)) / AUDIT if job.audit and placed else job.audited
        placed[name] = dataclasses.replace(job, out=out / name, cache=job.cache or out / CACHE, audited=audited)
    return placed


def as_table(outcomes: dict[str, Outcome]) -> tuple[list[str], list[list[object]]]:
    """Column names, and a row a run: its best epoch and validation accuracy, then every test figure."""
    first = next(iter(outcomes.values()))
    columns = ["run", "backbone", "best_epoch", "val_accuracy", *first.figures()]
    rows: list[list[object]] = [
        [name, o.card.backbone, o.card.best_epoch, o.best_val_accuracy, *o.figures().values()]
        for name, o in outcomes.items()
    ]
    return columns, rows


def check_ours(out: Path, ours: Collection[str]) -> None:
    """Refuse a folder that holds anything but runs: its cache is removed at the end."""
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file, and --out must name a folder. Choose another --out.")
    others = [
        p
        for p in sorted(out.iterdir())
        if p.name not in {*ours, TABLE, COMPARISON, PAGE, CACHE}
        and not p.name.startswith(".part-")
        and not (p / RECORD).exists()
    ]
    if others:
        raise RunError(f"{out} holds other things than runs ({others[0].name}). Choose a new folder for --out.")


def train_or_go_on(job: Job, *, watch: Watcher) -> Outcome:
    """Train, or go on with the very same job where its folder holds a part of it, or all."""
    if not (job.out / RECORD).exists():
        return train(job, watch=watch)
    earlier, _ = read_record(job.out)
    if job.train.learn == "auto":  # what it became is written in the record
        job = dataclasses.replace(job, train=dataclasses.replace(job.train, learn=earlier.train.learn))
    for field in ("train", "image", "cohort", "control", "skip_bad", "audit", "ignore"):
        if getattr(earlier, field) != getattr(job, field):
            raise RunError(f"{job.out} holds a run with other settings ({field}). Choose a new folder for --out.")
    if (job.out / bundle.CARD).exists():
        watch.say(f"{job.out} has ended already; kept.")
        return read_outcome(job.out)
    return resume(job.out, watch=watch, workers=job.workers, cache=job.cache)
