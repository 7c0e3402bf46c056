from __future__ import annotations

import pytest
import torch

from overread.errors import SettingsError
from overread.settings import TrainSettings
from overread.training import machine as module
from overread.training.machine import choose_machine, has_bfloat16


@pytest.mark.parametrize(
    ("able", "asked", "chosen"),
    [
        (True, "auto", True),
        (True, "bfloat16", True),
        (True, "float32", False),
        (False, "auto", False),
        (False, "float32", False),
    ],
)
def test_a_processor_learns_in_bfloat16_where_it_can(
    able: bool, asked: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_bfloat16", lambda: able)
    machine = choose_machine(TrainSettings(device="cpu", precision=asked))
    assert machine.bfloat16 is chosen
    with machine.autocast():
        made = torch.nn.Linear(4, 2)(torch.ones(1, 4))
    assert made.dtype is (torch.bfloat16 if chosen else torch.float32)


def test_bfloat16_without_the_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_bfloat16", lambda: False)
    with pytest.raises(SettingsError, match="this processor has no instructions for it"):
        choose_machine(TrainSettings(device="cpu", precision="bfloat16"))


def test_a_torch_that_cannot_tell_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "amx_bf16": True}, raising=False
    )
    assert has_bfloat16()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not has_bfloat16()
