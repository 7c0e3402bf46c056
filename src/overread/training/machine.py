"""Where a network runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from overread.errors import SettingsError
from overread.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the network runs, and in which precision."""

    device: torch.device
    bfloat16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision where it was chosen; nothing elsewhere."""
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.bfloat16 else nullcontext()


def choose_machine(settings: TrainSettings) -> Machine:
    """The device and precision that the settings ask for; `auto` takes a GPU where there is one."""
    has_gpu = torch.cuda.is_available()
    if settings.device.startswith("cuda") and not has_gpu:
        raise SettingsError(f"--device {settings.device}: torch finds no GPU here. Use --device cpu or auto.")
    device = torch.device("cuda" if settings.device == "auto" and has_gpu else settings.device.replace("auto", "cpu"))
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if settings.precision == "bfloat16" and not able:
        raise SettingsError(f"--precision bfloat16 needs a GPU that has it; the device is {device}.")
    return Machine(device=device, bfloat16=able and settings.precision != "float32")
