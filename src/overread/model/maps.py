"""Logits, pooled features and class maps from one pass: what a prediction shows, and why.

A class map (h, w) says where in the image the evidence for a class lies. Its mean over the map is the class's
logit, less a term that does not depend on the place, wherever `method` says that it is exact:

- A network that averages its last feature maps and ends in one linear layer: the layer's weights applied at
  each place. Class activation maps, Zhou et al. 2016 (arXiv:1512.04150). Exact: the term is the layer's bias.
- AlexNet and the VGGs, with two hidden layers in between: ReLU makes these linear around the image, and
  the gradient of that linear piece times the feature maps, summed over channels, gives the map. HiResCAM,
  Draelos and Carin 2020 (arXiv:2011.08891). Exact: the term comes from the biases. It is written out as
  transposed convolutions, so it needs no autograd and goes into ONNX.
- All others (attention, or a layer between average and head): the head applied at each place by itself. An
  approximation: the mean of such a map need not be the logit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from overread.errors import ModelError
from overread.model.alexnet import AlexNet
from overread.model.stages import hidden_layers

METHODS = {
    "average": "class activation maps; their mean plus the bias is the logit",
    "hidden": "HiResCAM; their mean plus terms of the biases is the logit",
    "placewise": "the head applied at each place; an approximation",
}


class ThreeOutputs(nn.Module):
    """A network that returns logits (n, k), features (n, d) and class maps (n, k, h, w).

    `size_px` is the side of the images to come; `method`, a key of `METHODS`, says how the class maps
    are made. ModelError for a network whose last feature maps have no places in the image.
    """

    def __init__(self, network: nn.Module, *, size_px: int) -> None:
        super().__init__()
        self.network = network
        self.head: nn.Linear = network.get_classifier()  # type: ignore[operator]
        self.layout = getattr(network, "output_fmt", "NCHW")
        self.hidden: Any = hidden_layers(network)
        self.method = "hidden" if self.hidden else self._probe(size_px)

    @property
    def description(self) -> str:
        """How the class maps are made, in words."""
        return METHODS[self.method]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take images (n, 3, h, w) float32, normalised."""
        if self.method == "hidden":
            return self._through_hidden(images)
        maps: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        features: Tensor = self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        if self.method == "average":
            class_maps = functional.conv2d(maps, self.head.weight[:, :, None, None])
        else:
            class_maps = self._placewise(maps)
        return self.head(features), features, class_maps

    def _probe(self, size_px: int) -> str:
        """See whether the features are the plain average of the maps, by trying it on random maps."""
        first = next(self.network.parameters())
        was_training = self.network.training
        self.network.eval()
        with torch.no_grad():
            nothing = torch.zeros(1, 3, size_px, size_px, device=first.device, dtype=first.dtype)
            try:
                maps = self.network.forward_features(nothing)  # type: ignore[operator]
            except (AssertionError, RuntimeError, ValueError) as error:
                raise ModelError(
                    f"{type(self.network).__name__} does not take images of {size_px} x {size_px} pixels "
                    f"({str(error).strip().splitlines()[0]}). Choose another --size-px or --backbone."
                ) from error
            if not isinstance(maps, Tensor) or maps.ndim not in (3, 4):
                raise ModelError(f"{type(self.network).__name__} has no maps of features to explain it by.")
            maps = torch.rand(maps.shape, generator=torch.Generator().manual_seed(0)).to(maps)
            features = self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        self.network.train(was_training)
        if maps.ndim == 4 and maps.shape[1] == features.shape[-1] and self.layout == "NCHW":
            mean = maps.mean(dim=(2, 3))
            if features.shape == mean.shape and torch.allclose(features, mean, atol=1e-5):
                return "average"
        return "placewise"

    def _placewise(self, maps: Tensor) -> Tensor:
        """Show the head one place at a time."""
        n_prefix = 0
        if maps.ndim == 3:  # (n, tokens, d): class and register tokens first, then the places, row by row
            n_prefix = getattr(self.network, "num_prefix_tokens", 0)
            maps = maps[:, n_prefix:]
            side = math.isqrt(int(maps.shape[1]))
            if side * side != maps.shape[1]:
                raise ModelError(f"{type(self.network).__name__} has {int(maps.shape[1])} places, not a square.")
            places = maps.reshape(-1, 1, maps.shape[2]).expand(-1, n_prefix + 1, -1)
        elif self.layout == "NHWC":
            side = int(maps.shape[1])
            places = maps.reshape(-1, 1, 1, maps.shape[3])
        else:
            side = int(maps.shape[2])
            places = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1], 1, 1)
        features = self.network.forward_head(places, pre_logits=True)  # type: ignore[operator]
        evidence = functional.linear(features, self.head.weight)
        return evidence.reshape(-1, side, side, self.head.out_features).permute(0, 3, 1, 2)

    def _through_hidden(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Go forward through two hidden layers with ReLU, and back along the paths that were open."""
        maps, first, second = self._hidden_inputs(images)
        one = functional.relu(functional.conv2d(maps, first.weight, first.bias))
        two = functional.relu(functional.conv2d(one, second.weight, second.bias))
        features = two.mean(dim=(2, 3))
        n_classes, sides, places = self.head.out_features, two.shape[2:], two.shape[2] * two.shape[3]
        # Backwards, classes join the images in the first dimension, as a batch of n * k.
        back = self.head.weight[None, :, :, None, None] * (two > 0)[:, None].to(two.dtype) / places
        back = functional.conv_transpose2d(back.reshape(-1, two.shape[1], *sides), second.weight)
        back = back.reshape(-1, n_classes, one.shape[1], *sides) * (one > 0)[:, None].to(one.dtype)
        back = functional.conv_transpose2d(back.reshape(-1, one.shape[1], *sides), first.weight)
        back = back.reshape(-1, n_classes, *maps.shape[1:])
        class_maps = (back * maps[:, None]).sum(dim=2) * (maps.shape[2] * maps.shape[3])
        return self.head(features), features, class_maps

    def _hidden_inputs(self, images: Tensor) -> tuple[Tensor, _Convolution, _Convolution]:
        """Feature maps at the size that the hidden layers take, and these layers as convolutions."""
        first, second = self.hidden
        maps: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        fixed = isinstance(self.network, AlexNet)  # a VGG's first hidden layer slides over larger maps
        side = 6 if fixed else 7
        if maps.shape[2] < side or (fixed and maps.shape[2] != side):
            maps = _average_to(maps, side)
        wide = first.weight.reshape(first.weight.shape[0], maps.shape[1], side, side)
        narrow = second.weight.reshape(*second.weight.shape[:2], 1, 1)
        return maps, _Convolution(wide, first.bias), _Convolution(narrow, second.bias)


class _Convolution(NamedTuple):
    weight: Tensor
    bias: Tensor | None


def _average_to(maps: Tensor, side: int) -> Tensor:
    """Average square maps (n, c, h, h) adaptively to (n, c, side, side), in operations that ONNX has."""
    size = int(maps.shape[2])
    rows = torch.zeros(side, size)
    for row in range(side):
        start, stop = row * size // side, -(-(row + 1) * size // side)
        rows[row, start:stop] = 1 / (stop - start)
    rows = rows.to(maps)
    return rows @ maps @ rows.T
