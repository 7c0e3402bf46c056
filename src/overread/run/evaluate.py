"""Read a finished model a second time: on its own test part anew, or on images from elsewhere."""

from __future__ import annotations

import csv
import dataclasses
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from overread import __version__
from overread.audit.audit import FILE as AUDIT
from overread.audit.audit import Audit, read_audit
from overread.data.cohort import CohortSettings
from overread.data.split import UNKNOWN
from overread.errors import ModelError, RunError
from overread.evaluate import second_read as reading
from overread.evaluate.operating import RULE, check_rule
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import Predictions, read_predictions, write_predictions
from overread.evaluate.score import FILE as METRICS
from overread.evaluate.score import read_score
from overread.evaluate.second_read import SecondRead, second_read
from overread.evaluate.verdict import Reason
from overread.model import bundle
from overread.predict import Predictor
from overread.report.html import FILE as REPORT
from overread.report.html import write_pdf, write_report
from overread.report.page import Page, count_cells, list_limits, today
from overread.report.pictured import FindPixels, finding_pictures, mistakes
from overread.run.elsewhere import EXTERNAL, Elsewhere, read_elsewhere
from overread.run.job import SPLIT, claimed, read_record, versions
from overread.training.watch import Silent, Watcher

PDF = "report.pdf"


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
        elsewhere = read_elsewhere(
            asked.source,
            asked.cohort,
            predictor,
            folder=Path(folder),
            skip_bad=asked.skip_bad,
            workers=asked.workers,
            watch=watch,
        )
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
    asked: Evaluation, predictor: Predictor, own: Predictions, elsewhere: Elsewhere, watch: Watcher
) -> SecondRead:
    job, _ = read_record(asked.model)
    found = elsewhere.predict(predictor, watch)
    audit = elsewhere.audit(seed=job.train.seed, watch=watch)
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
