"""The training pass: epoch, validate, keep the best, and be ready to go on after a crash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from overread.errors import RunError
from overread.model import bundle
from overread.model.stages import stages_of
from overread.stats import metrics
from overread.training.batches import batch_bounds, epoch_generator, shuffled
from overread.training.feeder import Fed
from overread.training.history import History
from overread.training.machine import Machine
from overread.training.optimizer import freeze_stages, make_loss, make_optimizer, rate_factor, set_rates
from overread.training.phases import Phase
from overread.training.sources import run_over
from overread.training.statistics import of_whole_batch
from overread.training.watch import Watcher
from overread.training.world import Share


@dataclass(frozen=True)
class Measure:
    """Loss and accuracy over a part."""

    loss: float
    accuracy: float


@dataclass
class Progress:
    """How far a training has come: what a run that was killed goes on from, beside the weights."""

    history: History = field(default_factory=History)
    losses: NDArray[np.float64] | None = None
    """(n_val,), of the best epoch so far, image by image"""
    losses_before: NDArray[np.float64] | None = None
    """the same of the best epoch before the phase began"""
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    """the state of the phase that was stopped in its midst; empty otherwise"""


class Trainer:
    """One phase of a training: the layers that learn, and what they are fed with."""

    def __init__(
        self,
        network: nn.Module,
        *,
        fed: Fed,
        phase: Phase,
        n_classes: int,
        machine: Machine,
        folder: Path,
        progress: Progress,
        watch: Watcher,
    ) -> None:
        self.network, self.fed, self.phase, self.settings = network, fed, phase, phase.settings
        self.machine, self.folder, self.progress, self.watch = machine, folder, progress, watch
        stages = stages_of(network)
        self.n_learning = len(stages) - phase.first
        self.still = list(freeze_stages(stages, phase.first))
        if phase.still:
            self.still += [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self.optimizer = make_optimizer(stages, self.settings)
        self.loss = make_loss(fed.train.labels, n_classes, self.settings).to(machine.device)

    def fit(self) -> None:
        """Train to the last epoch, or until `patience` runs out; the best epoch's weights are in the folder."""
        history = self.progress.history
        done = sum(row.stages_learning == self.n_learning for row in history)
        before = len(history) - done
        if self.progress.optimizer:
            take_up(self.optimizer, self.progress.optimizer)
        for epoch in range(done, self.settings.epochs):
            if self.machine.world.agree(self._out_of_patience(before)):
                break
            began = time.perf_counter()
            train = self.run_epoch(epoch, before=before)
            seconds = time.perf_counter() - began
            logits = run_over(
                self.fed.network,
                self.fed.val,
                machine=self.machine,
                watch=self.watch,
                what=f"validation {before + epoch + 1}",
            )
            self.end_epoch(train, logits, learning_rate=self._rate(epoch), seconds=seconds)

    def end_epoch(self, train: Measure, logits: NDArray[np.float32], *, learning_rate: float, seconds: float) -> None:
        """Write down what an epoch brought, keep its weights if it is the best, and all to go on from.

        logits: (n_val, k), of the validation part.
        """
        progress, labels = self.progress, self.fed.val.labels
        probabilities = metrics.softmax(logits)
        row = progress.history.add(
            epoch=len(progress.history) + 1,
            train_loss=train.loss,
            train_accuracy=train.accuracy,
            val_loss=metrics.log_loss(labels, probabilities),
            val_accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
            val_auroc=metrics.auroc_macro(labels, probabilities),
            learning_rate=learning_rate,
            seconds=seconds,
            images_per_second=len(self.fed.train.labels) / seconds,
            stages_learning=float(self.n_learning),
        )
        best = progress.history.is_best(self.settings.select)
        if best:
            progress.losses = metrics.log_losses(labels, probabilities)
        if self.machine.world.is_first:
            if best:
                bundle.save_weights(self.folder, to_arrays(self.network.state_dict()))
            save_resume(
                self.folder, self.network, self.optimizer, progress
            )  # last: a crash repeats an epoch, skips none
        self.watch.epoch(row, best)

    def run_epoch(self, epoch: int, *, before: int = 0, at_most: int | None = None) -> Measure:
        """Train on every image once; `epoch` counts from 0 within the phase, `before` the epochs of earlier ones.

        at_most: on so many images only, rounded up to whole batches.
        """
        settings, n = self.settings, len(self.fed.train.labels)
        generator = epoch_generator(settings.seed, before + epoch)
        self.fed.network.train()
        self.network.train()
        for module in self.still:
            module.eval()
        total_loss, n_right, done = 0.0, 0, 0
        self.machine.world.share_weights(self.network)  # they are the same but for the last digit, if that
        wanted = n if at_most is None else min(n, at_most)
        n_batches = len(batch_bounds(wanted, settings.batch_size))
        what = f"epoch {before + epoch + 1}" + ("" if self.phase.trial else f"/{before + settings.epochs}")
        with torch.random.fork_rng(devices=self._gpus()):  # dropout knows no generator but the global one
            torch.manual_seed(generator.initial_seed() ^ self.machine.world.rank)
            batches = shuffled(n, batch_size=settings.batch_size, generator=generator)
            for number, chosen in enumerate(batches):
                if done >= wanted:
                    break
                step = epoch * n_batches + number
                set_rates(self.optimizer, rate_factor(step, n_steps=settings.epochs * n_batches, settings=settings))
                loss, right = self._step(chosen, generator)
                if not np.isfinite(loss):
                    raise RunError(
                        f"The training loss became {loss} in epoch {before + epoch + 1}, batch {number + 1}. "
                        f"Lower --learning-rate (it is {settings.learning_rate:g})."
                    )
                total_loss += loss * len(chosen)
                n_right += right
                done += len(chosen)
                self.watch.step(what, min(done, wanted), wanted)
        return Measure(total_loss / done, n_right / done)

    def _step(self, chosen: NDArray[np.int64], generator: torch.Generator) -> tuple[float, int]:
        world = self.machine.world
        share = world.share(len(chosen))
        inputs = self.fed.train.inputs(chosen, generator, share.rows)
        labels = torch.from_numpy(self.fed.train.labels[chosen]).to(self.machine.device)
        with self.machine.autocast(), of_whole_batch(world, share):
            logits = self.fed.network(inputs)[: share.n]
            loss = loss_of_share(self.loss, logits, labels, share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        right = (logits.detach().argmax(dim=1) == labels[share.rows][: share.n]).sum()
        figures = torch.stack([loss.detach(), right.to(loss.dtype)])
        loss, right = world.sum_gradients(self.network.parameters(), figures)
        self.optimizer.step()
        return float(loss), int(right)

    def _rate(self, epoch: int) -> float:
        """The learning rate of the pretrained layers in the middle of an epoch."""
        factor = rate_factor(2 * epoch + 1, n_steps=2 * self.settings.epochs, settings=self.settings)
        return self.settings.learning_rate * factor

    def _out_of_patience(self, before: int) -> bool:
        history = self.progress.history
        if not self.settings.patience or not len(history):
            return False
        since_best = len(history) - max(before, history.best_epoch(self.settings.select))
        if since_best < self.settings.patience:
            return False
        if not self.phase.trial:
            self.watch.say(f"No better epoch in the last {since_best}: stopping early (--patience).")
        return True

    def _gpus(self) -> Sequence[int]:
        return [torch.cuda.current_device()] if self.machine.device.type == "cuda" else []


def loss_of_share(loss: nn.CrossEntropyLoss, logits: Tensor, labels: Tensor, share: Share) -> Tensor:
    """What the images of a share add to the loss of their batch: the shares' losses sum to that of the whole.

    logits: (share.n, k). labels: (share.of,), of the whole batch; with class weights its mean is a weighted one.
    """
    if share.n == share.of:
        whole: Tensor = loss(logits, labels)
        return whole
    own = labels[share.rows][: share.n]
    total = functional.cross_entropy(
        logits, own, weight=loss.weight, label_smoothing=loss.label_smoothing, reduction="sum"
    )
    return total / (share.of if loss.weight is None else loss.weight[labels].sum())


def save_resume(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write all that a killed run goes on from."""
    arrays = {f"network.{k}": v for k, v in to_arrays(network.state_dict()).items()}
    for number, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            arrays[f"optimizer.{number}.{key}"] = to_arrays({"": torch.as_tensor(value)})[""]
    for name, losses in (("best", progress.losses), ("before", progress.losses_before)):
        if losses is not None:
            arrays[f"losses.{name}"] = losses
    bundle.save_resume(folder, arrays, history=progress.history.to_csv())


def load_resume(folder: Path, network: nn.Module) -> Progress:
    """Take up the state of an earlier run of the same folder; a new beginning where there is none."""
    found = bundle.load_resume(folder)
    if found is None:
        return Progress()
    arrays, history = found
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    return Progress(
        history=History.from_csv(history),
        losses=arrays.get("losses.best"),  # type: ignore[arg-type]
        losses_before=arrays.get("losses.before"),  # type: ignore[arg-type]
        optimizer={k: v for k, v in tensors.items() if k.startswith("optimizer.")},
    )


def take_up(optimizer: torch.optim.Optimizer, kept: dict[str, Tensor]) -> None:
    """Give an optimizer the state that it was stopped with."""
    state = optimizer.state_dict()
    for name, tensor in kept.items():
        _, number, key = name.split(".", 2)
        state["state"].setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict(state)


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Tensors as NumPy arrays on the CPU, in C order."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
