"""The workers of one training: each computes its share of every batch, and what they find is put together.

There is one worker unless torchrun, or Ray, has started several. Then a batch is the same batch: its order and its
chance are drawn by every worker in the same way, each takes a share of its images, the loss is divided by the whole
batch's size, and gradients are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from overread.errors import LostWorkerError

Value = TypeVar("Value")

ALL = slice(None)


@dataclass(frozen=True)
class Share:
    """The images of a batch that one worker computes."""

    rows: slice
    """of the batch; never empty: a worker that has none goes along with the first image"""
    n: int
    """how many of them count: all, or none"""
    of: int
    """how many images the whole batch has"""


@dataclass(frozen=True, kw_only=True)
class World:
    """All workers of a training, seen from one of them. Nothing here costs anything where there is but one."""

    rank: int = 0
    """the number of this one; the first alone writes files"""
    size: int = 1
    n_local: int = 1
    """how many there are on this machine"""
    words: Any = None
    """the group that waits for long, in which the first one calls the others"""

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that writes files."""
        return self.rank == 0

    def share(self, n: int) -> Share:
        """The part of this worker of n images: all of them, where it is alone."""
        start, stop = n * self.rank // self.size, n * (self.rank + 1) // self.size
        return Share(slice(start, stop), stop - start, n) if stop > start else Share(slice(0, 1), 0, n)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all workers, in place."""
        if self.size > 1:
            with _in_words():
                dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter], figures: Tensor) -> Tensor:
        """Sum every gradient over the workers, in place, and figures (k,) with them, in one message."""
        if self.size == 1:
            return figures
        gradients = [one.grad for one in parameters if one.grad is not None]
        together = self.sum(torch.cat([*(one.reshape(-1) for one in gradients), figures]))
        start = 0
        for one in gradients:
            one.copy_(together[start : start + one.numel()].view(one.shape))
            start += one.numel()
        return together[start:]

    def gather_rows(self, rows: Tensor, n: int) -> Tensor:
        """What all workers have made of their shares of n images: (n, ...), in the order of the images.

        rows: (m, ...), this one's, with `share(n).n` rows that count.
        """
        if self.size == 1:
            return rows
        own, most = rows[: self.share(n).n], -(-n // self.size)
        padded = torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])]).contiguous()
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with _in_words():
            dist.all_gather(found, padded)
        bounds = [n * rank // self.size for rank in range(self.size + 1)]
        return torch.cat([part[: stop - start] for part, start, stop in zip(found, bounds, bounds[1:], strict=False)])

    def agree(self, value: Value) -> Value:
        """What the first worker says: no other may decide otherwise, by a last digit or a full disk."""
        if self.size == 1:
            return value
        held = [value]
        with _in_words():
            dist.broadcast_object_list(held, src=0)
        return held[0]

    def all(self, is_fine: bool) -> bool:
        """Whether it is so for every worker."""
        if self.size == 1:
            return is_fine
        found: list[bool] = [False] * self.size
        with _in_words():
            dist.all_gather_object(found, is_fine)
        return all(found)

    def share_weights(self, network: nn.Module) -> None:
        """Give every worker the first one's weights and statistics."""
        if self.size == 1:
            return
        for tensor in network.state_dict().values():
            held = tensor.detach().clone(memory_format=torch.contiguous_format)
            with _in_words():
                dist.broadcast(held, src=0)
            tensor.detach().copy_(held)

    def call(self, what: object) -> None:
        """Tell all others what is to be done, however long they have waited; None is that nothing is left."""
        if self.size > 1:
            with _in_words():
                dist.broadcast_object_list([what], src=0, group=self.words)

    def hear(self) -> Any:
        """What the first worker calls for, when it does; None too where that has ended, and has said why."""
        held: list[Any] = [None]
        with suppress(RuntimeError):
            dist.broadcast_object_list(held, src=0, group=self.words)
        return held[0]


ALONE = World()


@contextmanager
def _in_words() -> Iterator[None]:
    """A worker that has lost another says so, and ends."""
    try:
        yield
    except RuntimeError as fault:  # torch's own errors of a connection share no narrower root
        raise LostWorkerError(
            "Another worker of this training has stopped, and what it said tells why. What was trained is kept: "
            f"go on with overread train --resume RUN, under the same torchrun. ({str(fault).splitlines()[0][:160]})"
        ) from fault
