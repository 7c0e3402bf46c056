"""Batch normalisation over the whole batch, wherever its images are.

In training it centres and scales by the mean and the variance of the batch. Where several workers hold a part of it
each, these must be of all parts: with eight images a worker they would be another training. torch's SyncBatchNorm
does it on a GPU alone; here it is done anywhere, for whatever calls `functional.batch_norm`, and no layer changes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from overread.training.world import Share, World


def of_whole_batch(world: World, share: Share) -> AbstractContextManager[object]:
    """Let batch normalisation take its statistics over the shares of all workers; nothing where there is but one."""
    return _OfWholeBatch(world, share) if world.size > 1 else nullcontext()


class _OfWholeBatch(TorchFunctionMode):
    """Takes the place of `functional.batch_norm` where that learns."""

    def __init__(self, world: World, share: Share) -> None:
        super().__init__()
        self.world, self.share = world, share

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs.get("training"):
            return self._normalise(*args, **kwargs)
        return func(*args, **kwargs)

    def _normalise(
        self,
        images: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        *,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        n = self.share.of * images[0, 0].numel()
        mean, variance = _moments(images.detach(), self.world, self.share)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * n / max(n - 1, 1)).to(running_var.dtype), momentum)
        ones = torch.ones_like(mean) if weight is None else weight
        zeros = torch.zeros_like(mean) if bias is None else bias
        made: Tensor = _Normalised.apply(images, ones, zeros, mean, variance, eps, n, self.world, self.share)
        return made


def _moments(images: Tensor, world: World, share: Share) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, (c,), over the images of all workers.

    images: (m, c, ...), of which `share.n` count. Sums are float64: a variance is a small difference of large ones.
    """
    kind = torch.promote_types(images.dtype, torch.float32)
    if images.device.type == "cpu":  # what torch itself takes them by: thirty times faster than var_mean
        mean, variance = torch.batch_norm_update_stats(images.to(kind), None, None, 0.0)
    else:
        over = [d for d in range(images.ndim) if d != 1]
        variance, mean = torch.var_mean(images.to(kind), dim=over, correction=0)
    mean, variance = mean.double(), variance.double()
    part = share.n / share.of
    mean, squares = world.sum(torch.stack([part * mean, part * (variance + mean**2)]))
    return mean.to(kind), (squares - mean**2).clamp_(min=0).to(kind)


class _Normalised(torch.autograd.Function):
    """(x - mean) / deviation * weight + bias, whose mean and deviation depend on the images of all workers."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        n: int,
        world: World,
        share: Share,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps, ctx.n, ctx.world, ctx.share = eps, n, world, share
        return torch.batch_norm(images, weight, bias, mean, variance, False, 0.0, eps, torch.backends.cudnn.enabled)

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor | None, ...]:
        """Ioffe and Szegedy 2015 (arXiv:1502.03167), section 3, with sums over the batch taken over all workers."""
        images, weight, mean, variance = ctx.saved_tensors
        # as if mean and variance were constants, and the sums of the gradient, plain and times the normalised image
        direct, for_weight, for_bias = torch.ops.aten.native_batch_norm_backward(
            wanted[0], images, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        plain, times_image = ctx.world.sum(torch.stack([for_bias, for_weight])) / ctx.n
        scale = (variance + ctx.eps).rsqrt()
        slope = weight * scale**2 * times_image
        offset = weight * scale * plain - slope * mean
        shape = (1, len(mean), *(1,) * (images.ndim - 2))
        direct.addcmul_(images, slope.view(shape), value=-1).sub_(offset.view(shape))
        if not ctx.share.n:
            direct.zero_()  # an image that goes along and does not count has moved no statistic, and moves no weight
        return direct, for_weight, for_bias, *(None,) * 6
