"""What a network gives for the images of a part: run by torch after training, or by an engine from its ONNX file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.model.maps import ThreeOutputs
from overread.model.session import Session
from overread.model.weights import Weights
from overread.predict import BATCH
from overread.run.inputs import Inputs
from overread.run.job import Job
from overread.training.batches import Normaliser, Part, in_order
from overread.training.machine import choose_machine
from overread.training.sources import Pixels, run_over
from overread.training.watch import Watcher

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What a network gives for n images."""

    logits: Matrix
    """(n, k)"""
    features: Matrix
    """(n, d), pooled"""
    class_maps: NDArray[np.float32]
    """(n, k, h, w); h and w are 0 where they were not asked for"""


class Speaker(Protocol):
    """A network that says what it makes of images."""

    @property
    def method(self) -> str:
        """How the class maps are made, in words."""

    def speak(self, part: Part, *, maps: bool, watch: Watcher, what: str) -> Spoken:
        """What the network gives for every image of a part; `maps`: with its class maps."""


class TorchSpeaker:
    """A network in torch, on the device of its training."""

    def __init__(self, network: nn.Module, *, inputs: Inputs, weights: Weights, job: Job) -> None:
        self._outputs = ThreeOutputs(network, size_px=inputs.image.size_px)
        self._normalise = Normaliser(weights.mean, weights.std)
        self._machine = choose_machine(job.train)
        self.method = self._outputs.description

    def speak(self, part: Part, *, maps: bool, watch: Watcher, what: str) -> Spoken:
        """What the network gives for every image of a part; `maps`: with its class maps."""
        head = self._outputs.head
        k, d = head.out_features, head.in_features
        together = run_over(
            _AllInOneRow(self._outputs, maps=maps),
            Pixels(part=part, normalise=self._normalise, device=self._machine.device),
            machine=self._machine,
            watch=watch,
            what=what,
        )
        side = math.isqrt((together.shape[1] - k - d) // k)
        return Spoken(
            logits=together[:, :k].astype(np.float64),
            features=together[:, k : k + d].astype(np.float64),
            class_maps=together[:, k + d :].reshape(len(part), k, side, side).astype(np.float32),
        )


class _AllInOneRow(nn.Module):
    """The three outputs side by side, so that one pass is enough; the class maps where they are wanted."""

    def __init__(self, outputs: ThreeOutputs, *, maps: bool) -> None:
        super().__init__()
        self.outputs, self.maps = outputs, maps

    def forward(self, images: Tensor) -> Tensor:
        logits, features, class_maps = self.outputs(images)
        return torch.cat([logits, features, *([class_maps.flatten(1)] if self.maps else [])], dim=1)


class SessionSpeaker:
    """A network as an engine runs it; `prepare` makes its inputs of pixels (n, size, size, 3) uint8."""

    def __init__(
        self, session: Session, *, prepare: Callable[[NDArray[np.uint8]], NDArray[np.float32]], method: str
    ) -> None:
        self._session, self._prepare, self.method = session, prepare, method

    def speak(self, part: Part, *, maps: bool, watch: Watcher, what: str) -> Spoken:
        """What the network gives for every image of a part; `maps`: with its class maps."""
        names = ["logits", "features", *(["class_maps"] if maps else [])]
        found: list[list[NDArray[np.float32]]] = []
        for chosen in in_order(len(part), batch_size=BATCH):
            found.append(self._session.run(names, self._prepare(part.pixels[part.indices[chosen]])))
            watch.step(what, int(chosen[-1]) + 1, len(part))
        logits, features, *more = (np.concatenate(column) for column in zip(*found, strict=True))
        k = logits.shape[1]
        return Spoken(
            logits=logits.astype(np.float64),
            features=features.astype(np.float64),
            class_maps=more[0] if maps else np.zeros((len(part), k, 0, 0), np.float32),
        )
