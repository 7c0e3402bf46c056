"""Which weights learn, how fast, and when: parameter groups, the schedule, and the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.errors import SettingsError
from overread.settings import TrainSettings

NO_DECAY_DIMENSIONS = 1
"""Biases and normalisation weights have one dimension; pulling them to zero does not regularise."""


def freeze_stages(stages: Sequence[tuple[str, Sequence[nn.Module]]], n_frozen: int) -> list[nn.Module]:
    """Keep the first stages as they are, let the others learn, and return what must stay in evaluation mode.

    `stages` runs from the input to the head: (name, modules). The head always learns.
    """
    names = [name for name, _ in stages]
    if n_frozen >= len(stages):
        raise SettingsError(
            f"--freeze {n_frozen} leaves nothing to train: this network has {len(stages) - 1} stages below its "
            f"head ({', '.join(names[:-1])}). Freeze {len(stages) - 1} or fewer."
        )
    frozen = [module for _, modules in stages[:n_frozen] for module in modules]
    for _, modules in stages[n_frozen:]:
        for module in modules:
            module.requires_grad_(True)
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def make_optimizer(
    stages: Sequence[tuple[str, Sequence[nn.Module]]], settings: TrainSettings
) -> torch.optim.Optimizer:
    """Adam or AdamW, a group a stage: the head learns fastest, each stage before it slower by `stage_decay`.

    Each group keeps its full rate in `full_rate`; `set_rates` scales them all.
    """
    groups: list[dict[str, object]] = []
    for depth_from_head, (_, modules) in enumerate(reversed(stages)):
        factor = settings.head_rate if depth_from_head == 0 else settings.stage_decay ** (depth_from_head - 1)
        learning = [p for module in modules for p in module.parameters() if p.requires_grad]
        for is_flat in (False, True):
            chosen = [p for p in learning if (p.ndim <= NO_DECAY_DIMENSIONS) == is_flat]
            if chosen:
                rate = settings.learning_rate * factor
                decay = 0.0 if is_flat else settings.weight_decay
                groups.append({"params": chosen, "lr": rate, "full_rate": rate, "weight_decay": decay})
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups)


def rate_factor(step: int, *, n_steps: int, settings: TrainSettings) -> float:
    """The share of the full learning rate at a step, counted from 0: a linear climb, then flat or a cosine.

    Loshchilov and Hutter 2017 (arXiv:1608.03983) without restarts.
    """
    n_warm = math.ceil(settings.warmup * n_steps)
    if step < n_warm:
        return (step + 1) / n_warm
    if settings.schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (step - n_warm) / max(1, n_steps - n_warm))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_rate"] * factor


def class_weights(labels: NDArray[np.int64], n_classes: int) -> Tensor:
    """Weights (n_classes,) float32 in inverse proportion to each class's count, with a mean of 1 by image."""
    counts = np.bincount(labels, minlength=n_classes).astype(np.float64)
    return torch.tensor(len(labels) / (n_classes * np.maximum(counts, 1)), dtype=torch.float32)


def make_loss(labels: NDArray[np.int64], n_classes: int, settings: TrainSettings) -> nn.CrossEntropyLoss:
    """Cross-entropy, with the label smoothing and the class weights of the settings."""
    weight = class_weights(labels, n_classes) if settings.class_weights else None
    return nn.CrossEntropyLoss(weight=weight, label_smoothing=settings.label_smoothing)
