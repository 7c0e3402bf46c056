"""Train: the stages of a run in their order, from nothing or from where a killed run stood."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from overread.audit.audit import FILE as AUDIT
from overread.audit.audit import Audit, check_ignored, fatal_marks, in_short, read_audit
from overread.data.split import UNKNOWN
from overread.disk import remove_leftovers
from overread.errors import OverreadError, RunError, SettingsError
from overread.model import bundle
from overread.model.backbones import create
from overread.model.export import check_exportable, export_onnx
from overread.model.weights import Choice, choose_backbone, load_weights
from overread.run.along import Lesson, learn
from overread.run.audit import look
from overread.run.inputs import SKIPPED, Inputs, describe, gather
from overread.run.job import CACHE, RECORD, SPLIT, Job, check_free, claimed, read_record, write_record
from overread.run.outputs import Outcome, finish_run, read_outcome
from overread.run.speaker import TorchSpeaker
from overread.training.batches import Normaliser
from overread.training.history import History
from overread.training.machine import choose_machine
from overread.training.phases import choose_learning
from overread.training.watch import Silent, Watcher

HOW_TO_TELL = (
    "  To tell who is who: a patient column in a CSV (--patient-column), a pattern on the path "
    "(--patient-regex 'case(\\d+)_'), or DICOM files, whose headers name the patient."
)


def train(job: Job, *, watch: Watcher | None = None) -> Outcome:
    """Train from the beginning, and write the model folder `job.out`.

    Raises RunError where the folder is taken or the disk is full, SplitError and BadInputsError before training,
    WeightsError where pretrained weights were asked for and are not to be had. Ctrl-C leaves a run that `resume`
    goes on with.
    """
    check_free(job.out)
    made = [folder for folder in (job.out, *job.out.parents) if not folder.exists()]
    try:
        with claimed(job.out):
            return _run(job, watch or Silent(), before=None)
    finally:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()  # goes only if it is empty: a run that was refused leaves nothing


def resume(
    folder: Path,
    *,
    watch: Watcher | None = None,
    workers: int = 0,
    cache: Path | None = None,
    finish: bool = False,
) -> Outcome:
    """Go on with a run that was stopped or killed; the end is the same as if it had not been.

    `finish` trains no further, and tests the best epoch so far.
    """
    job, before = read_record(folder)
    if job.quantized:
        raise RunError(f"{folder} is no training: overread quantize began it. Delete it, and quantise again.")
    with claimed(folder):
        remove_leftovers(folder)
        if (folder / bundle.CARD).exists():
            _clean(folder)
            (watch or Silent()).say(f"{folder} has ended already; there is nothing to go on with.")
            return read_outcome(folder)
        job = dataclasses.replace(job, workers=workers, cache=cache)
        return _run(job, watch or Silent(), before=before, finish=finish)


def _run(job: Job, watch: Watcher, *, before: dict[str, Any] | None, finish: bool = False) -> Outcome:
    with _free_if_refused(job.out) if before is None else nullcontext():
        return _stages(job, watch, before=before, finish=finish)


def _stages(job: Job, watch: Watcher, *, before: dict[str, Any] | None, finish: bool) -> Outcome:
    choice = choose_backbone(job.train.backbone, job.train.weights)  # a wrong name dies before images are decoded
    learn = choose_learning(job.train, choose_machine(job.train))
    # written down as chosen here: elsewhere `auto` might be something else, and a repeat would be another training
    job = dataclasses.replace(job, train=dataclasses.replace(job.train, learn=learn))
    check_ignored(job.ignore)
    if before is None:
        write_record(job)  # from here on a run that is killed can be resumed
    inputs = gather(job, watch)
    _check_positive(job.train.positive, inputs.cohort.classes)
    watch.say(describe(inputs))
    watch.mark(inputs.split.marks)
    if UNKNOWN in inputs.split.marks:
        watch.say(HOW_TO_TELL)
    watch.say(choice.why)
    audited = _audit(job, inputs, choice, watch)
    marks = (*inputs.split.marks, *fatal_marks(audited))
    found = {
        "backbone": choice.backbone,
        "weights": choice.weights.source,
        "weights_sha256": choice.weights.sha256,
        "data_sha256": inputs.sha256,
        "window": inputs.image.window,
        "split": inputs.split.unit,
        "patients_from": inputs.cohort.patients_from,
        "marks": list(marks),
    }
    _check_same(before or {}, found, job.out)
    write_record(job, **found)
    network, history = fit_network(job, inputs, choice, watch, finish=finish)

    def write_network(path: Path) -> None:
        watch.say("Writing model.onnx, and checking that it gives the same probabilities")
        export_onnx(network.float(), path, size_px=inputs.image.size_px)

    outcome = finish_run(
        job,
        inputs=inputs,
        speaker=TorchSpeaker(network, inputs=inputs, weights=choice.weights, job=job),
        write_network=write_network,
        weights=choice.weights,
        history=history,
        audit=audited,
        marks=marks,
        watch=watch,
    )
    _clean(job.out)
    return outcome


def _audit(job: Job, inputs: Inputs, choice: Choice, watch: Watcher) -> Audit | None:
    """The audit of the data: made once, and read back where the run goes on."""
    if not job.audit:
        return None
    if (job.out / AUDIT).exists():
        return read_audit(job.out / AUDIT)
    found = look(
        inputs.cohort,
        pixels=inputs.pixels,
        places=inputs.places,
        measures=inputs.measures,
        split=inputs.split,
        weights=choice.weights,
        job=job,
        watch=watch,
    )
    bundle.write_json(job.out / AUDIT, found.to_json())
    watch.mark(in_short(found))
    return found


@contextmanager
def _free_if_refused(folder: Path) -> Iterator[None]:
    """Leave the folder free for another try where a run fails before any epoch has ended."""
    try:
        yield
    except OverreadError:
        if not (folder / bundle.WEIGHTS).exists():
            for name in (RECORD, SPLIT, SKIPPED, AUDIT):
                (folder / name).unlink(missing_ok=True)
        raise


def _check_positive(positive: str | None, classes: Sequence[str]) -> None:
    if positive is None:
        return
    if positive not in classes:
        raise SettingsError(f"--positive {positive} is not a class; the classes are {', '.join(classes)}.")
    if len(classes) > 2:
        raise SettingsError(
            f"--positive {positive} is for two classes, and there are {len(classes)} ({', '.join(classes)}): "
            "each gets an AUROC against the others. Leave it out."
        )


def fit_network(
    job: Job, inputs: Inputs, choice: Choice, watch: Watcher, *, finish: bool = False
) -> tuple[nn.Module, History]:
    """Train, and return the network with the weights of its best epoch, and the history."""
    network = create(choice.backbone, len(inputs.cohort.classes), seed=job.train.seed)
    load_weights(network, choice.weights)
    if not finish:
        check_exportable(network, size_px=inputs.image.size_px)
    lesson = Lesson(
        train=inputs.part("train"),
        val=inputs.part("val"),
        n_classes=len(inputs.cohort.classes),
        settings=job.train,
        normalise=Normaliser(choice.weights.mean, choice.weights.std),
        folder=job.out,
    )
    history = learn(network, lesson, backbone=choice.backbone, watch=watch, go_on=not finish)
    if not len(history):
        raise RunError(f"No epoch of {job.out} has ended yet, so there is nothing to test. Leave out --finish.")
    best = {name: torch.from_numpy(array) for name, array in bundle.load_weights(job.out).items()}
    network.load_state_dict(best)
    return network, history


def _check_same(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other images or other pretrained weights than the run began with."""
    for key, what in (
        ("data_sha256", "The images, their labels or the split"),
        ("weights_sha256", "The pretrained weights"),
    ):
        if key in before and before[key] != now[key]:
            raise RunError(f"{what} have changed since {folder} began. Restore them, or start a new run.")


def _clean(folder: Path) -> None:
    bundle.drop_resume(folder)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
