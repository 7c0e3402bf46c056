from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from overread.model.backbones import create
from overread.model.stages import stages_of
from overread.training.cut import cut
from overread.training.optimizer import freeze_stages

NETWORKS = [
    "test_resnet",
    "resnet18",
    "alexnet",
    "efficientnet_b0",
    "convnext_atto",
    "densenet121",
    "vit_tiny_patch16_224",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_halves_together_are_the_network(name: str) -> None:
    network = create(name, 3, seed=0).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    stages = stages_of(network)
    for first in {1, len(stages) // 2, len(stages) - 1}:
        freeze_stages(stages, first)
        halves = cut(network)
        assert halves is not None
        with torch.no_grad():
            torch.testing.assert_close(halves.after(halves.before(images)), network(images))
        assert not any(p.requires_grad for p in halves.before.parameters())
        learning = {id(p) for p in network.parameters() if p.requires_grad}
        assert learning == {id(p) for p in halves.after.parameters() if p.requires_grad}


def test_frozen_layers_take_their_normalisation_in_and_leave_the_network_as_it_was() -> None:
    network = create("resnet18", 3, seed=0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    freeze_stages(stages_of(network), 4)
    halves = cut(network)
    assert halves is not None
    assert not any(isinstance(module, nn.BatchNorm2d) for module in halves.before.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in halves.after.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_nothing_is_cut_where_everything_learns() -> None:
    assert cut(create("test_resnet", 2, seed=0)) is None


class _Skips(nn.Module):
    """Its last layer sees the first layer's result twice: as it is, and through the second."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.one(x)
        return self.three(first + self.two(first.relu()) * first)


class _Decides(nn.Module):
    """Its way depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) if x.sum() > 0 else self.one(x)


def test_one_tensor_is_kept_or_none() -> None:
    network = _Skips()
    network.one.requires_grad_(False)
    assert cut(network) is None  # the result of `one`, and of its relu
    network.two.requires_grad_(False)
    halves = cut(network)
    assert halves is not None
    assert [name for name, _ in halves.after.named_parameters()] == ["three.weight", "three.bias"]
    decides = _Decides()
    decides.one.requires_grad_(False)
    assert cut(decides) is None


def test_what_is_left_to_chance_is_not_run_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 2))
    network[0].requires_grad_(False)
    halves = cut(network)
    assert halves is not None
    assert any(isinstance(module, nn.Dropout) for module in halves.after.modules())
    assert not any(isinstance(module, nn.Dropout) for module in halves.before.modules())
