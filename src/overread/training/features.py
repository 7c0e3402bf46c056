"""What a network makes of each image just before its last layer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.model.backbones import create
from overread.model.stages import heads
from overread.model.weights import Weights, load_weights
from overread.settings import TrainSettings
from overread.training.batches import Normaliser, Part
from overread.training.machine import Machine, choose_machine
from overread.training.sources import Pixels, Source, run_over
from overread.training.watch import Watcher


class _Headless(nn.Module):
    """A network, or the rest of one, up to what its last layer is given."""

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network, self.given = network, torch.empty(0)
        self._hook = head.register_forward_pre_hook(lambda _, inputs: setattr(self, "given", inputs[0]))

    def forward(self, inputs: Tensor) -> Tensor:
        self.network(inputs)
        return self.given

    def let_go(self) -> None:
        """Leave the network as it was."""
        self._hook.remove()
        self.given = torch.empty(0)


def features_of(
    network: nn.Module, head: nn.Module, source: Source, *, machine: Machine, watch: Watcher, what: str
) -> NDArray[np.float32]:
    """What `head`, the last layer of `network`, is given for each image of a source: (n, d). Nothing is learned."""
    headless = _Headless(network, head)
    try:
        return run_over(headless, source, machine=machine, watch=watch, what=what)
    finally:
        headless.let_go()


def pretrained_features(
    weights: Weights, pixels: NDArray[np.uint8], places: NDArray[np.int64], *, settings: TrainSettings, watch: Watcher
) -> NDArray[np.float32]:
    """The pooled features of images, (n, d), by the pretrained network that the weights are of.

    pixels: (m, size, size, 3). places: (n,), which of them. Nothing is learned, and nothing is random.
    """
    network = create(weights.backbone, 2, seed=0)
    load_weights(network, weights)
    machine = choose_machine(settings)
    part = Part(pixels=pixels, indices=places, labels=np.zeros(len(places), np.int64))
    return features_of(
        network.to(machine.device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        heads(network)[0],
        Pixels(part=part, normalise=Normaliser(weights.mean, weights.std), device=machine.device),
        machine=machine,
        watch=watch,
        what="looking at the images",
    )
