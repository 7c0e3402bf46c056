"""How fast a network learns here, and a model folder predicts: through overread's own training pass and predictor."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from overread.model import bundle
from overread.model.session import open_session
from overread.predict import BATCH, Predictor
from overread.run.limits import Rates, between_stamps, repeat
from overread.settings import ImageSettings, TrainSettings
from overread.training.watch import Silent

CLASSES = ("one", "other")
FEWEST_BATCHES, MOST_BATCHES = 3, 300
BACKWARD = 3
"""a step of training takes three times the arithmetic of a prediction: once forward, twice back"""

Progress = Callable[[int, int], None]


def count_flop(backbone: str, *, size_px: int, n_classes: int = len(CLASSES)) -> int:
    """Floating-point operations of one image's way through a network; a multiplication and an addition are two.

    Counted in convolutions and matrix products, on shapes alone: nothing is computed.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from overread.model.backbones import sketch

    network = sketch(backbone, n_classes).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size_px, size_px, device="meta"))
    return int(counter.get_total_flops())


def learns_in_bfloat16() -> bool:
    """Whether steps of learning are taken in bfloat16 on this processor."""
    from overread.training.machine import choose_machine

    return choose_machine(TrainSettings(device="cpu")).bfloat16


class _Stamps(Silent):
    """Keeps the time at which each batch of a training was done."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.at: list[float] = []
        self.progress = progress

    def step(self, what: str, done: int, total: int) -> None:
        """Keep the time."""
        self.at.append(time.perf_counter())
        if self.progress is not None:
            self.progress(done, total)


def training_rates(
    backbone: str, *, device: str, size_px: int, batch_size: int, seconds: float, folder: Path, progress: Progress
) -> Rates:
    """Images a second of a full fine-tuning, by batches: every layer learns, every image is changed a little."""
    settings = TrainSettings(
        backbone=backbone, weights="none", learn="all", device=device, batch_size=batch_size, epochs=1
    )
    train = _make_training(settings, size_px=size_px, folder=folder)
    first, second = train(2, _Stamps())
    n_batches = int(min(max(seconds / (second - first), FEWEST_BATCHES), MOST_BATCHES))
    return between_stamps(train(n_batches + 1, _Stamps(progress)), images_each=batch_size)


def _make_training(
    settings: TrainSettings, *, size_px: int, folder: Path
) -> Callable[[int, _Stamps], Sequence[float]]:
    """A training on noise that goes on for as many batches as asked, and tells when each was done."""
    import torch

    from overread.model.backbones import create, pretraining
    from overread.model.stages import stages_of
    from overread.training.batches import Normaliser, Part
    from overread.training.feeder import Fed
    from overread.training.loop import Progress as Course
    from overread.training.loop import Trainer
    from overread.training.machine import choose_machine
    from overread.training.memory import keep_freed_memory
    from overread.training.phases import plan
    from overread.training.sources import Pixels

    machine, known, n = choose_machine(settings), pretraining(settings.backbone), settings.batch_size
    if machine.device.type == "cpu":
        keep_freed_memory()  # as every training on a CPU does
    network = create(settings.backbone, len(CLASSES), seed=0)
    network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    phase = plan(settings, machine, len(stages_of(network)))[0]
    pixels = np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)

    def train(n_batches: int, watch: _Stamps) -> Sequence[float]:
        places = np.arange(n_batches * n)
        part = Part(pixels=pixels, indices=places % n, labels=places % len(CLASSES))
        source = Pixels(part=part, normalise=Normaliser(known.mean, known.std), device=machine.device, augment=True)
        trainer = Trainer(
            network, fed=Fed(network=network, train=source, val=source), phase=phase, n_classes=len(CLASSES),
            machine=machine, folder=folder, progress=Course(), watch=watch,
        )  # fmt: skip
        trainer.run_epoch(0)
        return watch.at

    return train


def gathering_rates(*, size_px: int, batch_size: int, seconds: float) -> Rates:
    """Images a second that are gathered in a random order from prepared ones, many enough to lie in no cache."""
    from overread.training.batches import Part

    n_images = max(256 * 2**20 // (3 * size_px**2), batch_size)
    pixels = np.zeros((n_images, size_px, size_px, 3), np.uint8)
    pixels[:] = 1  # zeros that nobody wrote to share one page
    part = Part(pixels=pixels, indices=np.arange(n_images), labels=np.zeros(n_images, np.int64))
    rng = np.random.default_rng(0)
    return repeat(lambda: part.batch(rng.integers(n_images, size=batch_size)), amount=batch_size, seconds=seconds)


def write_model(folder: Path, backbone: str, *, size_px: int) -> Path:
    """Write a model folder of random weights, as good as any to measure the time that it takes."""
    from overread.model.backbones import create, pretraining
    from overread.model.export import export_onnx

    folder.mkdir(parents=True)
    known = pretraining(backbone)
    export_onnx(create(backbone, len(CLASSES), seed=0), folder / bundle.NETWORK, size_px=size_px)
    card = bundle.Card(
        backbone=backbone,
        classes=CLASSES,
        image=ImageSettings(size_px=size_px, window="brain"),
        mean=known.mean,
        std=known.std,
        weights_source="none: it was made to measure its speed",
    )
    bundle.seal(folder, card)
    return folder


def network_rates(model: Path, *, seconds: float) -> Rates:
    """Images a second of the network alone, in onnxruntime, on images that lie ready in memory."""
    card = bundle.load_card(model, verify=())
    session = open_session(bundle.read_verified(model, bundle.NETWORK, card.files), name=bundle.NETWORK)
    side = card.image.size_px
    images = np.random.default_rng(0).standard_normal((BATCH, 3, side, side), np.float32)
    return repeat(lambda: session.run(["logits", "features"], images), amount=BATCH, seconds=seconds)


def predicting_rates(
    model: Path, paths: Sequence[Path], *, images_per_second: float, seconds: float, progress: Progress
) -> Rates:
    """Images a second from files to answers; `images_per_second` is what to expect, so that it takes the time."""
    n_batches = int(min(max(seconds * images_per_second / BATCH, FEWEST_BATCHES), MOST_BATCHES)) + 1
    chosen = itertools.islice(itertools.cycle(paths), n_batches * BATCH)
    stamps: list[float] = []
    for done, _ in enumerate(Predictor(model).predict_files(chosen), start=1):
        if done % BATCH == 0:
            stamps.append(time.perf_counter())
            progress(done, n_batches * BATCH)
    return between_stamps(stamps, images_each=BATCH)
