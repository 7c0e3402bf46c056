"""The trained network of a model folder as torch has it, and maps of its evidence by any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from overread.errors import ModelError
from overread.explain.methods import check_method, explain
from overread.model import bundle
from overread.model.backbones import create
from overread.model.bundle import Card
from overread.model.weights import Weights
from overread.run.explain import MakeMaps
from overread.run.job import read_record
from overread.training.batches import Normaliser


def open_network(folder: Path, card: Card) -> nn.Module:
    """The network with the weights of its best epoch, for evaluation, on the CPU. Raises ModelError."""
    if bundle.WEIGHTS not in card.files and read_record(folder)[0].quantized:
        raise ModelError(
            f"{folder} has its network in 8 bits, which torch does not run. Use the model that it was made from."
        )
    bundle.load_card(folder, verify=(bundle.WEIGHTS,))
    network = create(card.backbone, len(card.classes), seed=0)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in bundle.load_weights(folder).items()})
    return network.eval()


def weights_of(card: Card, found: Mapping[str, object]) -> Weights:
    """What is known of the pretrained weights of a model; found: what its record says."""
    sha256 = found.get("weights_sha256")
    return Weights(
        backbone=card.backbone,
        path=None,
        source=card.weights_source,
        mean=card.mean,
        std=card.std,
        sha256=None if sha256 is None else str(sha256),
    )


def map_maker(folder: Path, card: Card, method: str) -> MakeMaps:
    """What makes maps of this model's evidence. Raises SettingsError for a method that is not known."""
    check_method(method)
    return maps_of(open_network(folder, card), card, method)


def maps_of(network: nn.Module, card: Card, method: str) -> MakeMaps:
    """What makes maps of a network's evidence; `card` says how its images are normalised."""
    normalise = Normaliser(card.mean, card.std)

    def make(
        squares: NDArray[np.uint8], targets: Sequence[int], against: Sequence[int] | None
    ) -> NDArray[np.float32]:
        images = normalise(torch.from_numpy(np.ascontiguousarray(squares.transpose(0, 3, 1, 2))).float() / 255)
        other = None if against is None else np.asarray(against, np.int64)
        return explain(network, images, np.asarray(targets, np.int64), method=method, against=other)

    return make
