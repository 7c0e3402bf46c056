"""AlexNet, which timm does not have, offering what timm's networks offer."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor, nn


class AlexNet(torchvision.models.AlexNet):  # type: ignore[misc]
    """torchvision's AlexNet (Krizhevsky 2014, arXiv:1404.5997) with its names and shapes of parameters.

    images: (n, 3, h, w) float32, normalised, h and w of 63 or more; returns logits (n, n_classes).
    """

    pretrained_cfg: dict[str, Any]

    def __init__(self, n_classes: int) -> None:
        super().__init__(num_classes=n_classes)
        self.num_features = self.classifier[-1].in_features

    def get_classifier(self) -> nn.Module:
        """Return the last layer, a linear one."""
        last: nn.Module = self.classifier[-1]
        return last

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last feature maps (n, 256, h, w)."""
        maps: Tensor = self.features(images)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (n, n_classes), or what the last layer sees (n, 4096)."""
        hidden: Tensor = self.classifier[:-1](self.avgpool(maps).flatten(1))
        return hidden if pre_logits else self.get_classifier()(hidden)
