"""From the source to prepared images and a split: everything that is settled before training starts."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.data.alike import alike_groups
from overread.data.cache import build_cache
from overread.data.cohort import Cohort, Problem, patient_hash, read_cohort
from overread.data.control import control_marks, shuffle_labels, thin_training
from overread.data.groups import Groups
from overread.data.image import resolve_window
from overread.data.measures import Measures
from overread.data.rows import HARMLESS, count_problems, show_problems
from overread.data.split import Split, check_patients, split_cohort
from overread.disk import write_atomically
from overread.errors import BadInputsError, SplitError
from overread.run.job import CACHE, PROBLEMS, SPLIT, Job
from overread.settings import ImageSettings
from overread.training.batches import Part
from overread.training.watch import Watcher

PARTS = ("train", "val", "calibrate", "test")
SKIPPED = "skipped.csv"
SHOWN = 12
UNITS = {
    "patient": "no patient is in two parts",
    "alike": "images that look nearly the same are in one part",
    "image": "divided by image",
    "given": "divided as the list says",
}
HASHED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A cohort without its bad images, every image prepared, and the part that each belongs to."""

    cohort: Cohort
    pixels: NDArray[np.uint8]
    """(m, size, size, 3), memory-mapped, m >= n: every image of the list"""
    places: NDArray[np.int64]
    """(n,), where each row of the cohort stands in `pixels`"""
    measures: Measures
    """(n, k), what was measured of each frame's own values"""
    split: Split
    image: ImageSettings
    """with the window resolved: what a prediction must repeat"""
    sha256: str
    """of every prepared pixel, label and part: two runs with the same one saw the same data"""

    def part(self, name: str) -> Part:
        """One part, as training and scoring take it."""
        rows = self.split.indices(name)
        return Part(pixels=self.pixels, indices=self.places[rows], labels=self.cohort.labels()[rows])

    def patients(self, name: str) -> list[str | None]:
        """The patient of each image of a part, in its order."""
        patients = self.cohort.patients()
        return [patients[row] for row in self.split.indices(name)]


def gather(job: Job, watch: Watcher) -> Inputs:
    """Read the list, check the patients, decode every image once, and divide the cohort.

    Raises SplitError from the headers alone, before any image is decoded, where the patients do not allow the
    split; BadInputsError where any input is bad and `skip_bad` is not set, after all of them have been looked at.
    """
    watch.say(f"Reading {job.source.name}")
    listed = read_cohort(job.source, job.cohort)
    with _telling_of(listed.problems, job):
        check_patients(listed, job.train.split)
    image = resolve_window(job.image, listed.headers())
    cache = build_cache(
        listed,
        image,
        folder=job.cache or job.out / CACHE,
        workers=job.workers,
        progress=lambda done, total: watch.step("reading images", done, total),
    )
    problems = (*listed.problems, *cache.problems)
    _stop_at(problems, job)
    places = np.asarray(cache.good, dtype=np.int64)
    alike = alike_groups(cache.fingerprints[places])
    cohort = shuffle_labels(listed.subset(places), job.control, seed=job.train.seed, alike=alike)
    with _telling_of(problems, job):
        split = _divide(cohort, alike, job)
    _write_skipped(problems, job, watch)
    write_split(job.out / SPLIT, cohort, split)
    return Inputs(
        cohort=cohort,
        pixels=cache.pixels,
        places=places,
        measures=cache.measures[places],
        split=split,
        image=image,
        sha256=_hash_inputs(cohort, cache.pixels, places, split),
    )


def _divide(cohort: Cohort, alike: Groups, job: Job) -> Split:
    val, test = job.train.val_fraction, job.train.test_fraction
    split = split_cohort(
        cohort,
        by=job.train.split,
        fractions=(1 - val - test, val, test),
        calibrate=job.train.calibrate_fraction,
        seed=job.train.seed,
        groups=alike,
    )
    split = dataclasses.replace(split, marks=(*control_marks(job.control), *split.marks))
    return thin_training(split, cohort, job.control, alike=alike)


def describe(inputs: Inputs) -> str:
    """One sentence of what goes into training: images, patients and classes, by part."""
    patients = inputs.cohort.patients()
    words = []
    for part in PARTS:
        rows = inputs.split.indices(part)
        if part == "calibrate" and not len(rows):
            continue
        known = {patients[row] for row in rows} - {None}
        words.append(f"{part} {len(rows)}" + (f" of {len(known)} patients" if known else ""))
    classes = ", ".join(f"{name} {count}" for name, count in class_counts(inputs.cohort).items())
    unit = UNITS.get(inputs.split.unit, f"the test part is {inputs.split.unit}")
    return f"{len(inputs.cohort.rows)} images ({classes}): {', '.join(words)}; {unit}."


def class_counts(cohort: Cohort) -> dict[str, int]:
    """How many images each class has."""
    counts = np.bincount(cohort.labels(), minlength=len(cohort.classes))
    return dict(zip(cohort.classes, counts.tolist(), strict=True))


def write_split(path: Path, cohort: Cohort, split: Split) -> None:
    """Write `split.csv`: every image, its class, its patient as a hash, and its part."""
    rows = [
        (row.path, row.frame, row.label, patient_hash(row.patient) if row.patient else "", part)
        for row, part in zip(cohort.rows, split.parts, strict=True)
    ]
    write_csv(path, ("path", "frame", "label", "patient", "split"), rows)


def _stop_at(problems: Sequence[Problem], job: Job) -> None:
    """Stop at bad inputs, unless they are to be left out, and write all of them down."""
    stopping = [problem for problem in problems if problem.kind not in HARMLESS]
    if stopping and not job.skip_bad:
        _write_problems(job.out / PROBLEMS, problems)
        raise BadInputsError(_list_in_words(stopping, job.out / PROBLEMS))


@contextmanager
def _telling_of(problems: Sequence[Problem], job: Job) -> Iterator[None]:
    """Let a refused split also say what was not counted: that may be why there are too few patients."""
    try:
        yield
    except SplitError as refusal:
        stopping = [problem for problem in problems if problem.kind not in HARMLESS]
        if not stopping:
            raise
        _write_problems(job.out / PROBLEMS, problems)
        raise SplitError(
            f"{refusal} Not counted: {count_problems(stopping)}; each is in {job.out / PROBLEMS}."
        ) from None


def _write_skipped(problems: Sequence[Problem], job: Job, watch: Watcher) -> None:
    """Write down what is left out, and say how much; only once the run can go on."""
    (job.out / PROBLEMS).unlink(missing_ok=True)
    if not problems:
        return
    _write_problems(job.out / SKIPPED, problems)
    bad = [problem for problem in problems if problem.kind not in HARMLESS]
    aside = len(problems) - len(bad)
    words = [f"Left out: {count_problems(bad)}"] if bad else []
    words += [f"Left alone: {aside} that {'belong' if aside > 1 else 'belongs'} to no class"] if aside else []
    watch.say(f"{'. '.join(words)}. Each is in {job.out / SKIPPED}.")


def _list_in_words(problems: Sequence[Problem], listed_in: Path) -> str:
    return "\n".join(
        [
            f"{count_problems(problems)}. Nothing was trained.",
            *show_problems(problems, at_most=SHOWN),
            f"All are in {listed_in}. Mend them, or leave them out with --skip-bad.",
        ]
    )


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    write_csv(path, ("path", "kind", "why"), [(p.path, p.kind, p.message) for p in problems])


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table with a line of column names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def _hash_inputs(cohort: Cohort, pixels: NDArray[np.uint8], places: NDArray[np.int64], split: Split) -> str:
    digest = hashlib.sha256()
    for row, part in zip(cohort.rows, split.parts, strict=True):
        digest.update(f"{row.path}\0{row.frame}\0{row.label}\0{part}\n".encode())
    for start in range(0, len(places), HASHED_AT_ONCE):
        digest.update(np.ascontiguousarray(pixels[places[start : start + HASHED_AT_ONCE]]).tobytes())
    return digest.hexdigest()
