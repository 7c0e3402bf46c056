"""The last layer alone, solved to its optimum on what the frozen layers give: a linear probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from overread.stats.metrics import log_losses, softmax

STRENGTHS = tuple(10.0 ** (1 - step / 2) for step in range(11))
"""of the pull towards zero, from the strongest: 10 to 0.0001, on features of spread 1"""
WORSE_IN_A_ROW = 3
STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A last layer, and how strongly it was pulled towards zero."""

    weight: Tensor
    """(k, d) float32, for features as they are"""
    bias: Tensor
    """(k,) float32"""
    strength: float


def solve_head(
    learnt: NDArray[np.float32],
    labels: NDArray[np.int64],
    held: NDArray[np.float32],
    held_labels: NDArray[np.int64],
    *,
    n_classes: int,
    class_weight: Tensor | None = None,
) -> Solved:
    """Multinomial logistic regression by L-BFGS; the strength of its pull is the one that validation likes best.

    learnt, held: features (n, d) of the training and of the validation part. class_weight: (k,). Nothing is random.
    """
    centre = learnt.mean(axis=0, dtype=np.float64)
    spread = learnt.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)
    x = torch.from_numpy((learnt - centre) / spread)
    y = torch.from_numpy((held - centre) / spread)
    best, least, since = None, np.inf, 0
    for strength, weight, bias in _path(x, torch.from_numpy(labels), n_classes, class_weight):
        found = float(log_losses(held_labels, softmax((y @ weight + bias).numpy())).mean())
        since = 0 if found < least else since + 1
        if found < least:
            best, least = (strength, weight, bias), found
        if since == WORSE_IN_A_ROW:
            break
    assert best is not None
    strength, weight, bias = best
    scaled = weight / torch.from_numpy(spread)[:, None]
    return Solved(
        weight=scaled.T.float().contiguous(),
        bias=(bias - torch.from_numpy(centre) @ scaled).float(),
        strength=strength,
    )


def _path(
    x: Tensor, labels: Tensor, n_classes: int, class_weight: Tensor | None
) -> Iterator[tuple[float, Tensor, Tensor]]:
    """The optimum at each strength, from the strongest on: each begins where the one before ended."""
    weight = torch.zeros(x.shape[1], n_classes, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(n_classes, dtype=x.dtype, requires_grad=True)
    balance = None if class_weight is None else class_weight.cpu().to(x.dtype)
    for strength in STRENGTHS:
        solver = torch.optim.LBFGS(
            [weight, bias], max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-8, line_search_fn="strong_wolfe"
        )

        def cost(strength: float = strength, solver: torch.optim.LBFGS = solver) -> Tensor:
            solver.zero_grad()
            value = functional.cross_entropy(x @ weight + bias, labels, weight=balance)
            value = value + strength / 2 * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        solver.step(cost)  # type: ignore[no-untyped-call]
        yield strength, weight.detach().clone(), bias.detach().clone()
