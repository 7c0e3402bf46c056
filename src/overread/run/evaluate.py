"""Read a finished model a second time: on its own test part anew, or on images from elsewhere."""

from __future__ import annotations

import csv
import dataclasses
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread import __version__
from overread.audit.audit import FILE as AUDIT
from overread.audit.audit import Audit, read_audit
from overread.audit.audit import audit as audit_subject
from overread.audit.subject import Subject
from overread.data.cache import Cache, build_cache
from overread.data.cohort import Cohort, CohortSettings, Problem, read_cohort
from overread.data.rows import HARMLESS, count_problems, show_problems
from overread.data.split import UNKNOWN
from overread.errors import BadInputsError, CohortError, ModelError, RunError
from overread.evaluate import second_read as reading
from overread.evaluate.operating import RULE, check_rule
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import Predictions, gather_predictions, read_predictions, write_predictions
from overread.evaluate.score import FILE as METRICS
from overread.evaluate.score import read_score
from overread.evaluate.second_read import SecondRead, second_read
from overread.evaluate.verdict import Reason
from overread.model import bundle
from overread.predict import BATCH, Predictor
from overread.report.html import FILE as REPORT
from overread.report.html import write_pdf, write_report
from overread.report.page import Page, count_cells, list_limits, today
from overread.report.pictured import FindPixels, finding_pictures, in_grey, mistakes
from overread.run.job import SPLIT, Job, claimed, read_record, versions
from overread.training.watch import Silent, Watcher

EXTERNAL = "external"
PDF = "report.pdf"
SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What to evaluate, on what, and how."""

    model: Path
    out: Path
    source: Path | None = None
    """images from elsewhere; None reads the model's own test part again"""
    cohort: CohortSettings = field(default_factory=CohortSettings)
    operating: str = RULE
    prevalence: float | None = None
    skip_bad: bool = False
    pdf: bool = False
    workers: int = 0


@dataclass(frozen=True, kw_only=True)
class _Elsewhere:
    """Images from elsewhere, as the network sees them."""

    cohort: Cohort
    pixels: NDArray[np.uint8]
    places: NDArray[np.int64]

    def find(self, window: str) -> FindPixels:
        """Where the prepared image of a path and frame is found."""
        places = {(row.path, row.frame): at for row, at in zip(self.cohort.rows, self.places, strict=True)}

        def find(path: str, frame: int) -> NDArray[np.uint8] | None:
            at = places.get((path, frame))
            return None if at is None else in_grey(np.asarray(self.pixels[at]), window)

        return find


def evaluate(asked: Evaluation, *, watch: Watcher | None = None) -> SecondRead:
    """Evaluate a model folder, and write `evaluation.json`, `predictions.csv`, `metrics.json` and `report.html`.

    Raises ModelError where the folder cannot be used, CohortError where the images have other classes, BadInputsError
    where any cannot be read and `skip_bad` is not set, RunError where `out` holds other things.
    """
    watch = watch or Silent()
    check_rule(asked.operating)
    _check_free(asked.out)
    predictor = Predictor(asked.model)
    bundle.load_card(asked.model, verify=(PREDICTIONS, METRICS))
    own = read_predictions(asked.model / PREDICTIONS)
    if own.classes != predictor.card.classes:
        raise ModelError(f"{PREDICTIONS} in {asked.model} speaks of other classes than its model.json.")
    with claimed(asked.out), tempfile.TemporaryDirectory(prefix="overread-") as folder:
        if asked.source is None:
            return _read_again(asked, predictor, own)
        elsewhere = _prepare(asked, predictor, Path(folder), watch)
        return _read_elsewhere(asked, predictor, own, elsewhere, watch)


def _read_again(asked: Evaluation, predictor: Predictor, own: Predictions) -> SecondRead:
    job, _ = read_record(asked.model)
    audit = _audit_of(asked.model)
    read = second_read(
        own,
        caution=predictor.card.caution,
        audit=audit,
        marks=predictor.card.marks,
        positive=job.train.positive,
        operating=asked.operating,
        prevalence=asked.prevalence,
        seed=job.train.seed,
    )
    words = f"The {read.part} part of the cohort that the model was trained on, from its {PREDICTIONS}."
    _write(asked, _page(asked, predictor, own, read, audit=audit, words=(words,), find=lambda path, frame: None))
    return read


def _read_elsewhere(
    asked: Evaluation, predictor: Predictor, own: Predictions, elsewhere: _Elsewhere, watch: Watcher
) -> SecondRead:
    job, _ = read_record(asked.model)
    found = _predict(predictor, elsewhere, watch)
    audit = _audit_elsewhere(asked, elsewhere, job, watch)
    together = own.subset([i for i, part in enumerate(own.parts) if part != "test"]) + found
    read = second_read(
        together,
        caution=predictor.card.caution,
        audit=audit,
        marks=() if found.known_patients else (UNKNOWN,),
        carried=predictor.card.marks,
        reasons=_known_already(asked.model, predictor, found),
        part=EXTERNAL,
        positive=job.train.positive,
        operating=asked.operating,
        prevalence=asked.prevalence,
        internal=read_score(asked.model),
        seed=job.train.seed,
    )
    source = asked.source.name if asked.source else ""
    words = f"{len(found)} images of {source}. The model has not learnt from them, and nothing was chosen on them."
    find = elsewhere.find(predictor.card.image.window)
    _write(asked, _page(asked, predictor, together, read, audit=audit, words=(words,), find=find))
    return read


def _audit_elsewhere(asked: Evaluation, elsewhere: _Elsewhere, job: Job, watch: Watcher) -> Audit:
    """The audit of the images from elsewhere: their shortcuts, copies and faults; there is no split to look at."""
    subject = Subject(cohort=elsewhere.cohort, pixels=elsewhere.pixels, places=elsewhere.places, seed=job.train.seed)
    return audit_subject(subject, progress=lambda done, total: watch.step("checks", done, total))


def _prepare(asked: Evaluation, predictor: Predictor, folder: Path, watch: Watcher) -> _Elsewhere:
    """Read the images, and stop at bad ones unless they are to be left out."""
    assert asked.source is not None
    watch.say(f"Reading {asked.source.name}")
    listed = read_cohort(asked.source, asked.cohort)
    others = sorted(set(listed.classes) - set(predictor.card.classes))
    if others:
        raise CohortError(
            f"{asked.source} has classes that the model does not know: {', '.join(others)}. It knows "
            f"{', '.join(predictor.card.classes)}. Rename them, or leave these images out."
        )
    cache = build_cache(
        listed,
        predictor.card.image,
        folder=folder,
        workers=asked.workers,
        progress=lambda done, total: watch.step("reading images", done, total),
    )
    _stop_at((*listed.problems, *cache.problems), asked, watch)
    return _kept(listed, cache)


def _kept(listed: Cohort, cache: Cache) -> _Elsewhere:
    places = np.asarray(cache.good, dtype=np.int64)
    return _Elsewhere(cohort=listed.subset(places), pixels=cache.pixels, places=places)


def _stop_at(problems: Sequence[Problem], asked: Evaluation, watch: Watcher) -> None:
    bad = [problem for problem in problems if problem.kind not in HARMLESS]
    if not bad:
        return
    lines = [f"{count_problems(bad)}.", *show_problems(bad, at_most=SHOWN)]
    if not asked.skip_bad:
        raise BadInputsError("\n".join([*lines, "Mend them, or leave them out with --skip-bad."]))
    watch.say(f"Left out: {lines[0]}")


def _predict(predictor: Predictor, elsewhere: _Elsewhere, watch: Watcher) -> Predictions:
    said = []
    n = len(elsewhere.places)
    for start in range(0, n, BATCH):
        said.append(predictor.say(np.asarray(elsewhere.pixels[elsewhere.places[start : start + BATCH]])))
        watch.step("predicting", min(start + BATCH, n), n)
    distances = [one.distance for one in said if one.distance is not None]
    return gather_predictions(
        elsewhere.cohort.rows,
        np.concatenate([one.probabilities for one in said]),
        classes=predictor.card.classes,
        parts=[EXTERNAL] * n,
        distance=np.concatenate(distances) if len(distances) == len(said) else None,
    )


def _own_patients(model: Path, predictor: Predictor) -> frozenset[str]:
    """The hashes of the patients of the model's own cohort."""
    content = bundle.read_verified(model, SPLIT, predictor.card.files).decode("utf-8")
    return frozenset(row["patient"] for row in csv.DictReader(content.splitlines()) if row["patient"])


def _known_already(model: Path, predictor: Predictor, found: Predictions) -> tuple[Reason, ...]:
    """A reason not to believe where patients of these images are in the model's own cohort."""
    shared = _own_patients(model, predictor) & {patient for patient in found.patients if patient}
    if not shared:
        return ()
    text = (
        f"{len(shared)} patients of these images are in the model's own cohort: it may have learnt from them, and "
        "the figures are too good."
    )
    return (Reason(grade="do not", text=text, source="data"),)


def _audit_of(model: Path) -> Audit | None:
    return read_audit(model / AUDIT) if (model / AUDIT).exists() else None


def _check_free(out: Path) -> None:
    """Refuse to write over anything but an earlier evaluation."""
    ours = {PREDICTIONS, METRICS, REPORT, PDF, reading.FILE, ".lock"}
    if out.is_file():
        raise RunError(f"{out} is a file, and --out must name a folder. Choose another --out.")
    others = sorted(path.name for path in out.iterdir() if path.name not in ours) if out.exists() else []
    if others:
        raise RunError(f"{out} holds other things than an evaluation ({others[0]}). Choose another --out.")


def _page(
    asked: Evaluation,
    predictor: Predictor,
    found: Predictions,
    read: SecondRead,
    *,
    audit: Audit | None,
    words: tuple[str, ...],
    find: FindPixels,
) -> Page:
    tested = found.part(read.part)
    labels = [found.classes[code] for code in tested.truth]
    rows = list(zip(labels, tested.parts, tested.patients, strict=True))
    on = f" {shlex.quote(str(asked.source))}" if asked.source else ""
    page = Page(
        name=asked.out.name,
        subtitle=f"The model {asked.model.name} on {asked.source.name if asked.source else 'its own test part'}",
        dataset=asked.source.name if asked.source else asked.model.name,
        written=today(),
        version=__version__,
        read=read,
        found=found,
        audit=audit,
        intended_use=predictor.card.intended_use,
        data_words=words,
        counted_parts=(read.part,),
        counts=count_cells(found.classes, (read.part,), rows),
        limits=list_limits(read, external=asked.source is not None),
        commands=(f"overread evaluate {shlex.quote(str(asked.model))}{on}",),
        provenance=(
            ("model (SHA-256 of model.onnx)", predictor.card.files[bundle.NETWORK]),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        ),
    )
    return dataclasses.replace(
        page,
        mistakes=mistakes(tested, find),
        finding_pictures=finding_pictures(audit, find),
        patients=_own_patients(asked.model, predictor) | {patient for patient in found.patients if patient},
    )


def _write(asked: Evaluation, page: Page) -> None:
    write_predictions(asked.out / PREDICTIONS, page.found)
    bundle.write_json(asked.out / METRICS, page.read.score.to_json())
    bundle.write_json(asked.out / reading.FILE, page.read.to_json())
    write_report(asked.out / REPORT, page)
    if asked.pdf:
        write_pdf(asked.out / PDF, page)
