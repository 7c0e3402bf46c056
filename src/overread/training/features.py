"""What a pretrained network sees in each image, before it has learned anything of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.model.backbones import create
from overread.model.weights import Weights, load_weights
from overread.settings import TrainSettings
from overread.training.batches import Normaliser, Part
from overread.training.loop import choose_machine, predict_logits
from overread.training.watch import Watcher


class _Headless(nn.Module):
    """A network up to its pooled features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps = self.network.forward_features(images)  # type: ignore[operator]
        features: Tensor = self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        return features


def pretrained_features(
    weights: Weights, pixels: NDArray[np.uint8], places: NDArray[np.int64], *, settings: TrainSettings, watch: Watcher
) -> NDArray[np.float32]:
    """The pooled features of images, (n, d), by the pretrained network that the weights are of.

    pixels: (m, size, size, 3). places: (n,), which of them. Nothing is learned, and nothing is random.
    """
    network = create(weights.backbone, 2, seed=0)
    load_weights(network, weights)
    machine = choose_machine(settings)
    return predict_logits(
        _Headless(network).to(machine.device),
        Part(pixels=pixels, indices=places, labels=np.zeros(len(places), np.int64)),
        normalise=Normaliser(weights.mean, weights.std),
        machine=machine,
        watch=watch,
        what="looking at the images",
    )
