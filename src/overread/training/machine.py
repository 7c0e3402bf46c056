"""Where a network runs, and in which precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from overread.errors import SettingsError
from overread.settings import TrainSettings
from overread.training.world import ALONE, World


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the network runs, and in which precision it learns."""

    device: torch.device
    bfloat16: bool
    world: World = ALONE
    """the workers that share the images of every batch; there is one unless torchrun or Ray has started several"""

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision where it was chosen, for steps of learning: what is measured or kept is float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bfloat16 else nullcontext()


def choose_machine(settings: TrainSettings) -> Machine:
    """The device and precision that the settings ask for; `auto` takes a GPU where there is one."""
    has_gpu = torch.cuda.is_available()
    if settings.device.startswith("cuda") and not has_gpu:
        raise SettingsError(f"--device {settings.device}: torch finds no GPU here. Use --device cpu or auto.")
    device = torch.device("cuda" if settings.device == "auto" and has_gpu else settings.device.replace("auto", "cpu"))
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_bfloat16()
    if settings.precision == "bfloat16" and not able:
        raise SettingsError(
            f"--precision bfloat16: this {'GPU' if device.type == 'cuda' else 'processor'} has no instructions for "
            "it. Use --precision float32 or auto."
        )
    return Machine(device=device, bfloat16=able and settings.precision != "float32")


def has_bfloat16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 natively; older versions of torch cannot tell: False."""
    tell: Callable[[], dict[str, bool]] = getattr(torch.cpu, "get_capabilities", dict)
    return any(tell().get(name) for name in ("avx512_bf16", "amx_bf16"))
