"""From cached images to a network's input: batches, their order, and augmentation.

Every random choice is drawn from a generator made anew for its epoch from (seed, epoch), so an epoch
can be repeated after a crash, bit for bit, and no state of a generator has to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

ROTATION_DEGREES = 15.0
SCALE_LOG = 0.3
SHIFT_SHARE = 0.08
CONTRAST_LOG = 0.25
BRIGHTNESS = 0.12
GAMMA_LOG = 0.3


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """A generator on the CPU that belongs to one epoch of one seed."""
    mixed = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]) << 31 | int(mixed[1]) >> 1)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a split: where its images stand in the cache, and their classes."""

    pixels: NDArray[np.uint8]
    """(n, size, size, 3), the whole cache; may be memory-mapped"""
    indices: NDArray[np.int64]
    """(m,), rows of the cache that belong to this part"""
    labels: NDArray[np.int64]
    """(m,), class numbers"""

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, chosen: NDArray[np.int64]) -> Tensor:
        """Images (b, 3, size, size) uint8, laid out channels last."""
        return torch.from_numpy(self.pixels[self.indices[chosen]]).permute(0, 3, 1, 2)


def batch_bounds(n_images: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut n images into batches; a last batch of one joins its neighbour, for batch normalisation's sake.

    >>> batch_bounds(7, 3)
    [(0, 3), (3, 7)]
    """
    starts = list(range(0, n_images, batch_size))
    if len(starts) > 1 and n_images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_images], strict=True))


def shuffled(n_images: int, *, batch_size: int, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """The places of n images, each once, in a random order, by batches."""
    order = torch.randperm(n_images, generator=generator).numpy()
    for start, stop in batch_bounds(n_images, batch_size):
        yield order[start:stop]


def in_order(n_images: int, *, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """The places of n images, each once, in their own order, by batches."""
    for start in range(0, n_images, batch_size):
        yield np.arange(start, min(start + batch_size, n_images))


@dataclass(frozen=True)
class Normaliser:
    """Turns bytes into what a pretrained network expects: (pixel / 255 - mean) / std, by channel."""

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, unit_pixels: Tensor) -> Tensor:
        """Normalise pixels (b, 3, h, w) in 0 to 1."""
        mean = torch.tensor(self.mean, device=unit_pixels.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=unit_pixels.device).view(1, 3, 1, 1)
        return (unit_pixels - mean) / std


def augment(
    unit_pixels: Tensor,
    *,
    flip: bool,
    generator: torch.Generator,
    n: int | None = None,
    rows: slice = slice(None),
) -> Tensor:
    """Small changes that leave a diagnosis as it is: another position, another exposure.

    Rotation up to 15 degrees, scale by up to 1.35, shift up to 4 % of the width, contrast by up to 1.28,
    brightness up to 12 % of the range, gamma up to 1.35, each drawn anew for each image; a mirror image only
    on request.

    pixels: (b, 3, h, w) float32 in 0 to 1, returned in the same shape and range. Where these are but the `rows` of a
    batch of `n`, the chance of the whole batch is drawn, so that its parts are changed as the whole would be.
    """
    n = len(unit_pixels) if n is None else n

    def between(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator)[rows] * (high - low) + low

    angle = between(-ROTATION_DEGREES, ROTATION_DEGREES) * (math.pi / 180)
    scale = torch.exp(between(-SCALE_LOG, SCALE_LOG))
    shift_x, shift_y = between(-SHIFT_SHARE, SHIFT_SHARE), between(-SHIFT_SHARE, SHIFT_SHARE)
    contrast = torch.exp(between(-CONTRAST_LOG, CONTRAST_LOG))
    brightness = between(-BRIGHTNESS, BRIGHTNESS)
    gamma = torch.exp(between(-GAMMA_LOG, GAMMA_LOG))
    mirror = torch.where(torch.rand(n, generator=generator)[rows] < 0.5, -1.0, 1.0) if flip else torch.ones(n)[rows]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    affine = torch.stack(
        [
            torch.stack([cosine * mirror, -sine, shift_x], dim=1),
            torch.stack([sine * mirror, cosine, shift_y], dim=1),
        ],
        dim=1,
    ).to(unit_pixels.device)
    grid = functional.affine_grid(affine, list(unit_pixels.shape), align_corners=False)
    moved = functional.grid_sample(unit_pixels, grid, padding_mode="border", align_corners=False)
    contrast, brightness, gamma = (t.view(-1, 1, 1, 1).to(unit_pixels.device) for t in (contrast, brightness, gamma))
    return (moved * contrast + brightness).clamp_(0, 1) ** gamma
