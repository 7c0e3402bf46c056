from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from overread.errors import SettingsError
from overread.settings import TrainSettings
from overread.training.optimizer import (
    class_weights,
    freeze_stages,
    make_loss,
    make_optimizer,
    rate_factor,
    set_rates,
)

Stages = list[tuple[str, tuple[nn.Module, ...]]]


@pytest.fixture
def stages() -> Stages:
    return [("stem", (nn.Linear(2, 2),)), ("body", (nn.Linear(2, 2),)), ("head", (nn.Linear(2, 3),))]


def rate_of(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> tuple[float, float]:
    (group,) = (g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    return group["lr"], group["weight_decay"]


def test_the_head_learns_fastest_and_early_stages_slowest(stages: Stages) -> None:
    settings = TrainSettings(learning_rate=1e-3, head_rate=10, stage_decay=0.5, weight_decay=0.1)
    optimizer = make_optimizer(stages, settings)
    (stem,), (body,), (head,) = (modules for _, modules in stages)
    assert rate_of(optimizer, head.weight) == pytest.approx((1e-2, 0.1))
    assert rate_of(optimizer, body.weight) == pytest.approx((1e-3, 0.1))
    assert rate_of(optimizer, stem.weight) == pytest.approx((5e-4, 0.1))
    assert rate_of(optimizer, stem.bias) == pytest.approx((5e-4, 0.0))  # no decay on biases


def test_frozen_stages_have_no_parameter_in_the_optimizer(stages: Stages) -> None:
    frozen = freeze_stages(stages, 2)
    assert frozen == [stages[0][1][0], stages[1][1][0]]
    learning = [p for g in make_optimizer(stages, TrainSettings()).param_groups for p in g["params"]]
    assert {id(p) for p in learning} == {id(p) for p in stages[2][1][0].parameters()}


def test_the_head_cannot_be_frozen(stages: Stages) -> None:
    with pytest.raises(SettingsError, match=r"stem, body.*Freeze 2 or fewer"):
        freeze_stages(stages, 3)


def test_the_rate_climbs_then_falls_as_a_cosine() -> None:
    settings = TrainSettings(warmup=0.1, schedule="cosine")
    factors = [rate_factor(step, n_steps=100, settings=settings) for step in range(100)]
    assert factors[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] < 0.001
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_the_paper_keeps_its_rate() -> None:
    settings = TrainSettings(warmup=0, schedule="constant")
    assert {rate_factor(step, n_steps=7, settings=settings) for step in range(7)} == {1.0}


def test_rates_are_scaled_from_the_full_rate_not_from_the_last(stages: Stages) -> None:
    optimizer = make_optimizer(stages, TrainSettings(learning_rate=1e-3, head_rate=1))
    for _ in range(3):
        set_rates(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {5e-4}


def test_rare_classes_weigh_more_and_the_mean_over_images_is_one() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = class_weights(labels, 2)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1.0)


def test_the_loss_is_plain_cross_entropy_for_the_paper() -> None:
    loss = make_loss(np.array([0, 1]), 2, TrainSettings(label_smoothing=0))
    assert float(loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))) == pytest.approx(np.log(2))
