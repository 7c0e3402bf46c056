from __future__ import annotations

import numpy as np
import pytest
import torch

from overread.errors import SettingsError
from overread.settings import TrainSettings
from overread.training.machine import Machine
from overread.training.phases import Phase, choose_learning, gains, plan

CPU = Machine(device=torch.device("cpu"), bfloat16=False)
GPU = Machine(device=torch.device("cuda"), bfloat16=True)


def depths(phases: tuple[Phase, ...]) -> list[int]:
    return [phase.first for phase in phases]


def test_auto_grows_on_a_cpu_from_pretrained_weights() -> None:
    assert choose_learning(TrainSettings(), CPU) == "grow"
    assert choose_learning(TrainSettings(), GPU) == "all"
    assert choose_learning(TrainSettings(weights="none"), CPU) == "all"
    assert choose_learning(TrainSettings(learn="head"), GPU) == "head"


@pytest.mark.parametrize(
    ("learn", "freeze", "expected"),
    [
        ("all", 0, [0]),
        ("all", 3, [3]),
        ("head", 0, [5]),
        ("grow", 0, [5, 4, 0]),
        ("grow", 2, [5, 4, 2]),
        ("grow", 4, [5, 4]),
        ("grow", 5, [5]),
    ],
)
def test_phases_go_down_to_what_is_frozen(learn: str, freeze: int, expected: list[int]) -> None:
    assert depths(plan(TrainSettings(learn=learn, freeze=freeze), CPU, 6)) == expected


def test_the_last_phase_trains_as_it_was_asked_to() -> None:
    asked = TrainSettings(epochs=7, learning_rate=1e-3)
    alone, trial, whole = plan(asked, CPU, 6)
    assert (alone.solved, trial.solved, whole.solved) == (True, False, False)
    assert (alone.trial, trial.trial, whole.trial) == (False, True, False)
    assert (whole.settings.epochs, whole.settings.learning_rate) == (7, 1e-3)
    assert (trial.still, whole.still) == (True, True)
    assert not plan(TrainSettings(learn="all"), CPU, 6)[0].still
    assert plan(TrainSettings(patience=3), CPU, 6)[-1].settings.patience == 3
    assert plan(TrainSettings(learn="all", epochs=7), CPU, 6)[0].settings == TrainSettings(learn="all", epochs=7)


def test_heads_rest_on_pretrained_layers() -> None:
    for learn in ("head", "grow"):
        with pytest.raises(SettingsError, match=f"--learn {learn} rests on pretrained layers"):
            TrainSettings(learn=learn, weights="none")


def test_a_gain_is_more_than_its_own_error() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 1, 100)
    assert gains(before, before - 0.1)
    assert not gains(before, before)
    assert not gains(before, before + 0.1)
    assert not gains(before, before - 0.1 + 3 * np.where(np.arange(100) % 2, 1.0, -1.0))
    assert gains(np.array([0.5]), np.array([0.4]))
