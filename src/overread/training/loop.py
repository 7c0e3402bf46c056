"""The training pass: epoch, validate, keep the best, and be ready to go on after a crash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.errors import RunError, SettingsError
from overread.model import bundle
from overread.model.backbones import stages_of
from overread.settings import TrainSettings
from overread.stats import metrics
from overread.training.batches import (
    Normaliser,
    Part,
    augment,
    batch_bounds,
    epoch_generator,
    in_order,
    shuffled,
)
from overread.training.history import History
from overread.training.memory import keep_freed_memory
from overread.training.optimizer import freeze_stages, make_loss, make_optimizer, rate_factor, set_rates
from overread.training.watch import Watcher

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Measure:
    """Loss and accuracy over a part."""

    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the network runs, and in which precision."""

    device: torch.device
    bfloat16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision where it was chosen; nothing elsewhere."""
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.bfloat16 else nullcontext()


def choose_machine(settings: TrainSettings) -> Machine:
    """The device and precision that the settings ask for; `auto` takes a GPU where there is one."""
    has_gpu = torch.cuda.is_available()
    if settings.device.startswith("cuda") and not has_gpu:
        raise SettingsError(f"--device {settings.device}: torch finds no GPU here. Use --device cpu or auto.")
    device = torch.device("cuda" if settings.device == "auto" and has_gpu else settings.device.replace("auto", "cpu"))
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if settings.precision == "bfloat16" and not able:
        raise SettingsError(f"--precision bfloat16 needs a GPU that has it; the device is {device}.")
    return Machine(device=device, bfloat16=able and settings.precision != "float32")


def predict_logits(
    network: nn.Module, part: Part, *, normalise: Normaliser, machine: Machine, watch: Watcher, what: str
) -> NDArray[np.float32]:
    """Logits (m, n_classes) of a part, in its order, without learning anything."""
    network.eval()
    found: list[Tensor] = []
    done = 0
    with torch.inference_mode(), machine.autocast():
        for images, _ in in_order(part, batch_size=EVALUATION_BATCH):
            found.append(network(normalise(images.to(machine.device).float() / 255)).float().cpu())
            done += len(images)
            watch.step(what, done, len(part))
    logits: NDArray[np.float32] = torch.cat(found).numpy()
    return logits


class Trainer:
    """One network, its data, and the state that a run goes on from."""

    def __init__(
        self,
        network: nn.Module,
        *,
        train: Part,
        val: Part,
        n_classes: int,
        settings: TrainSettings,
        normalise: Normaliser,
        folder: Path,
        watch: Watcher,
    ) -> None:
        self.settings, self.watch, self.folder = settings, watch, folder
        self.train, self.val, self.normalise = train, val, normalise
        self.machine = choose_machine(settings)
        if self.machine.device.type == "cpu":
            keep_freed_memory()
        self.network = network.to(self.machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        stages = stages_of(self.network)
        self.frozen = freeze_stages(stages, settings.freeze)
        self.optimizer = make_optimizer(stages, settings)
        self.loss = make_loss(train.labels, n_classes, settings).to(self.machine.device)
        self.history = History()

    def fit(self, *, go_on: bool = True) -> History:
        """Train to the last epoch, or until `patience` runs out; the best epoch's weights are in the folder.

        An earlier run of the same folder is taken up where it stood; `go_on` False trains no further.
        """
        self._take_up()
        for epoch in range(len(self.history), self.settings.epochs if go_on else 0):
            if self._out_of_patience():
                break
            began = time.perf_counter()
            train = self.run_epoch(epoch)
            seconds = time.perf_counter() - began
            val, val_auroc = self._validate(epoch)
            self.history.add(
                epoch=epoch + 1,
                train_loss=train.loss,
                train_accuracy=train.accuracy,
                val_loss=val.loss,
                val_accuracy=val.accuracy,
                val_auroc=val_auroc,
                learning_rate=self._rate(epoch),
                seconds=seconds,
                images_per_second=len(self.train) / seconds,
            )
            best = self.history.is_best(self.settings.select)
            if best:
                bundle.save_weights(self.folder, to_arrays(self.network.state_dict()))
            self._save_resume()  # last: a crash repeats an epoch, and never skips one
            self.watch.epoch(self.history.rows[-1], best)
        return self.history

    def run_epoch(self, epoch: int) -> Measure:
        """Train on every image once; `epoch` counts from 0."""
        generator = epoch_generator(self.settings.seed, epoch)
        self.network.train()
        for module in self.frozen:
            module.eval()
        total_loss, n_right, done = 0.0, 0, 0
        n_batches = len(batch_bounds(len(self.train), self.settings.batch_size))
        with torch.random.fork_rng(devices=self._gpus()):  # dropout knows no generator but the global one
            torch.manual_seed(generator.initial_seed())
            batches = shuffled(self.train, batch_size=self.settings.batch_size, generator=generator)
            for number, (images, labels) in enumerate(batches):
                set_rates(
                    self.optimizer,
                    rate_factor(
                        epoch * n_batches + number,
                        n_steps=self.settings.epochs * n_batches,
                        settings=self.settings,
                    ),
                )
                loss, right = self._step(images.to(self.machine.device), labels, generator)
                if not np.isfinite(loss):
                    raise RunError(
                        f"The training loss became {loss} in epoch {epoch + 1}, batch {number + 1}. "
                        f"Lower --learning-rate (it is {self.settings.learning_rate:g})."
                    )
                total_loss += loss * len(labels)
                n_right += right
                done += len(labels)
                self.watch.step(f"epoch {epoch + 1}/{self.settings.epochs}", done, len(self.train))
        return Measure(total_loss / done, n_right / done)

    def _step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[float, int]:
        pixels = images.float() / 255
        if self.settings.augment != "none":
            pixels = augment(pixels, flip=self.settings.flip, generator=generator)
        labels = labels.to(self.machine.device)
        inputs = self.normalise(pixels).contiguous(memory_format=torch.channels_last)
        with self.machine.autocast():
            logits = self.network(inputs)
            loss = self.loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach()), int((logits.detach().argmax(dim=1) == labels).sum())

    def _validate(self, epoch: int) -> tuple[Measure, float]:
        what = f"validation {epoch + 1}/{self.settings.epochs}"
        logits = predict_logits(
            self.network,
            self.val,
            normalise=self.normalise,
            machine=self.machine,
            watch=self.watch,
            what=what,
        )
        probabilities = metrics.softmax(logits)
        right = probabilities.argmax(axis=1) == self.val.labels
        measure = Measure(metrics.log_loss(self.val.labels, probabilities), float(right.mean()))
        return measure, metrics.auroc_macro(self.val.labels, probabilities)

    def _rate(self, epoch: int) -> float:
        """The learning rate of the pretrained layers in the middle of an epoch."""
        factor = rate_factor(2 * epoch + 1, n_steps=2 * self.settings.epochs, settings=self.settings)
        return self.settings.learning_rate * factor

    def _out_of_patience(self) -> bool:
        if not self.settings.patience or not len(self.history):
            return False
        since_best = len(self.history) - self.history.best_epoch(self.settings.select)
        if since_best < self.settings.patience:
            return False
        self.watch.say(f"No better epoch in the last {since_best}: stopping early (--patience).")
        return True

    def _gpus(self) -> Sequence[int]:
        return [torch.cuda.current_device()] if self.machine.device.type == "cuda" else []

    def _save_resume(self) -> None:
        arrays = {f"network.{k}": v for k, v in to_arrays(self.network.state_dict()).items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            for key, value in state.items():
                arrays[f"optimizer.{number}.{key}"] = to_arrays({"": torch.as_tensor(value)})[""]
        bundle.save_resume(self.folder, arrays, history=self.history.to_csv())

    def _take_up(self) -> None:
        """Take up the state of an earlier run of the same folder, if there is one."""
        found = bundle.load_resume(self.folder)
        if found is None:
            return
        arrays, history = found
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.network.load_state_dict(
            {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        )
        state = self.optimizer.state_dict()
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                state["state"].setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict(state)
        self.history = History.from_csv(history)


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Tensors as NumPy arrays on the CPU, in C order."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
