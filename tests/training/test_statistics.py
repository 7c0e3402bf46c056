from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

GRADIENTS = """
import json, sys
import torch
from torch import nn
from timm.layers import BatchNormAct2d
from overread.training.launch import joined
from overread.training.loop import loss_of_share
from overread.training.statistics import of_whole_batch
from overread.training.world import ALONE

def gradients(world, n):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), BatchNormAct2d(5), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(80, 6), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 3)).double()
    images, labels = torch.randn(n, 3, 8, 8).double(), torch.arange(n) % 3
    loss, share = nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 3.0]).double()), world.share(n)
    with of_whole_batch(world, share):
        value = loss_of_share(loss, network(images[share.rows])[: share.n], labels, share)
    value.backward()
    value = world.sum_gradients(network.parameters(), value.detach()[None])
    return [value, *(one.grad for one in network.parameters()), *network.buffers()]

with joined(device="cpu") as world:
    found = {}
    for n in (7, 2):
        pairs = [(a.double(), b.double()) for a, b in zip(gradients(ALONE, n), gradients(world, n))]
        found[n] = max(float((a - b).abs().max() / (1e-3 + a.abs().max())) for a, b in pairs)
    print(json.dumps(found))
"""


@pytest.mark.slow
def test_statistics_and_gradients_are_those_of_the_whole_batch(
    run_workers: Callable[..., list[subprocess.CompletedProcess[str]]],
) -> None:
    """In float64, where nothing but rounding is left: of seven images, and of two, which leave one of three idle."""
    for done in run_workers(3, "-c", GRADIENTS):
        assert done.returncode == 0, done.stderr
        assert max(json.loads(done.stdout).values()) < 1e-9
