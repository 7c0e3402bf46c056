"""A model folder in 8 bits: its network quantised, its caution fitted anew, and its figures measured again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.audit.audit import FILE as AUDIT
from overread.audit.audit import read_audit
from overread.disk import write_atomically
from overread.errors import RunError
from overread.evaluate.lost import auroc_lost
from overread.explain.trust import FILE as EXPLANATION
from overread.model import bundle
from overread.model.quantize import quantize
from overread.model.session import Session, open_session
from overread.predict import BATCH, Predictor
from overread.run.inputs import Inputs, gather
from overread.run.job import CACHE, LOCK, Job, check_free, claimed, read_record, write_record
from overread.run.network import weights_of
from overread.run.outputs import HISTORY, Outcome, finish_run
from overread.run.speaker import SessionSpeaker
from overread.settings import between
from overread.stats.intervals import Measured
from overread.stats.metrics import auroc_macro, softmax
from overread.training.history import History
from overread.training.watch import Silent, Watcher

ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What to quantise, and what it may cost."""

    model: Path
    out: Path
    lose_at_most: float = 0.01
    """AUROC in validation that may be lost"""
    n_images: int = 128
    """training images that the ranges of the activations are taken from"""
    workers: int = 0

    def __post_init__(self) -> None:
        between("lose-at-most", self.lose_at_most, 0, 0.5)
        between("images", self.n_images, 8, 10_000)


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """A model folder in 8 bits, and what became of the model."""

    outcome: Outcome
    auroc_before: float
    """in validation"""
    lost: Measured
    """AUROC in validation, before less after"""
    images_per_second: tuple[float, float]
    """of the network alone on this machine, before and after"""
    n_bytes: tuple[int, int]
    """of model.onnx, before and after"""


def quantize_model(asked: Quantization, *, watch: Watcher | None = None) -> Quantized:
    """Write a model folder whose network computes in 8 bits, with everything measured on that network.

    Raises RunError where the AUROC in validation falls by more than `lose_at_most`, or the images are no longer those
    of the training; ModelError where the model cannot be used or quantised. Then nothing is left in `out`.
    """
    watch = watch or Silent()
    predictor = Predictor(asked.model)
    bundle.load_card(asked.model)
    trained, before = read_record(asked.model)
    if trained.quantized:
        raise RunError(f"{asked.model} is in 8 bits already.")
    check_free(asked.out)
    job = dataclasses.replace(trained, out=asked.out, workers=asked.workers, quantized=asked.model.absolute().name)
    with _gone_if_empty(asked.out), claimed(asked.out), _cleared_if_refused(asked.out):
        inputs = gather(job, watch)
        if inputs.sha256 != before["data_sha256"]:
            raise RunError(f"The images, their labels or the split have changed since {asked.model} was trained.")
        found = _write(asked, job, inputs, predictor, before, watch)
        shutil.rmtree(asked.out / CACHE, ignore_errors=True)
        return found


@contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _cleared_if_refused(folder: Path) -> Iterator[None]:
    """Leave nothing of a model that did not come about; the folder was free before."""
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink()
        raise


def _write(
    asked: Quantization,
    job: Job,
    inputs: Inputs,
    predictor: Predictor,
    before: dict[str, object],
    watch: Watcher,
) -> Quantized:
    plain = bundle.read_verified(asked.model, bundle.NETWORK, predictor.card.files)
    watch.say(f"Quantising {bundle.NETWORK}: its ranges are those of training images")
    small = quantize(plain, _batches(inputs, predictor, asked.n_images, job.train.seed), name=bundle.NETWORK)
    sessions = [open_session(network, name=bundle.NETWORK) for network in (plain, small)]
    how = json.loads(bundle.read_verified(asked.model, EXPLANATION, predictor.card.files))["method"]
    speakers = [SessionSpeaker(session, prepare=predictor.inputs, method=how) for session in sessions]
    auroc, lost = _lost(inputs, speakers, job.train.seed, watch)
    if not lost.value <= asked.lose_at_most:
        raise RunError(_refusal(asked, lost))
    card = predictor.card
    if job.audit:
        shutil.copyfile(asked.model / AUDIT, job.out / AUDIT)
    write_record(job, **{name: value for name, value in before.items() if name not in ("machine", "versions")})
    outcome = finish_run(
        job,
        inputs=inputs,
        speaker=speakers[1],
        write_network=lambda path: write_atomically(path, small),
        weights=weights_of(card, before),
        history=History.from_csv((asked.model / HISTORY).read_text(encoding="utf-8")),
        audit=read_audit(job.out / AUDIT) if job.audit else None,
        marks=card.marks,
        watch=watch,
    )
    return Quantized(
        outcome=outcome,
        auroc_before=auroc,
        lost=lost,
        images_per_second=_speeds(sessions, next(_batches(inputs, predictor, BATCH, 0))),
        n_bytes=(len(plain), len(small)),
    )


def _batches(inputs: Inputs, predictor: Predictor, n: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """At most n training images, by lot, as the network takes them."""
    rows = inputs.split.indices("train")
    chosen = np.sort(np.random.default_rng(seed).permutation(inputs.places[rows])[:n])
    for start in range(0, len(chosen), BATCH):
        yield predictor.inputs(np.asarray(inputs.pixels[chosen[start : start + BATCH]]))


def _lost(inputs: Inputs, speakers: list[SessionSpeaker], seed: int, watch: Watcher) -> tuple[float, Measured]:
    part = inputs.part("val")
    before, after = (
        softmax(speaker.speak(part, maps=False, watch=watch, what=f"validation in {bits} bits").logits)
        for speaker, bits in zip(speakers, (32, 8), strict=True)
    )
    lost = auroc_lost(
        part.labels,
        before,
        after,
        inputs.patients("val"),
        classes=inputs.cohort.classes,
        part="val",
        rng=np.random.default_rng(seed),
    )
    return float(auroc_macro(part.labels, before)), lost


def _refusal(asked: Quantization, lost: Measured) -> str:
    return (
        f"In 8 bits {asked.model.name} loses {lost.value:.3f} of its AUROC in validation ({lost.low:.3f} to "
        f"{lost.high:.3f}; {lost.n_images} images); at most {asked.lose_at_most:g} is allowed (--lose-at-most). "
        "Nothing was written. More images for its ranges may help (--images)."
    )


def _speeds(sessions: list[Session], images: NDArray[np.float32]) -> tuple[float, float]:
    """Images a second of each network, in turns; medians."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for session, found in zip(sessions, seconds, strict=True):
            began = time.perf_counter()
            session.run(["logits"], images)
            found.append(time.perf_counter() - began)
    first, second = (len(images) / statistics.median(found[1:]) for found in seconds)
    return first, second
