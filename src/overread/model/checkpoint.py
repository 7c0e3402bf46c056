"""Files of weights: read without running what is in them, and fitted to a network's own names and shapes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from overread.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts put the weights in a larger file."""

LISTED = 5
"""How many names an error message lists."""


@dataclass(frozen=True)
class Fitted:
    """Weights under the network's own names."""

    tensors: dict[str, Tensor]
    has_head: bool
    """False where the file's last layer was left out, because it has other classes or none"""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file or of torch's own format, on the CPU, with float16 made float32.

    torch's format is read with `weights_only=True`: it can hold code, and none is run. WeightsError where the
    file is missing, is of neither format, is damaged, holds no tensors, or holds values that are not finite.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file of weights at {path}. Check --weights.")
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) == 9 and start[8:9] == b"{":
        found = _read_safetensors(path)
    elif start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        found = _read_torch(path)
    else:
        raise WeightsError(
            f"{path} is neither safetensors nor torch's format. Use a .safetensors or a .pth file of weights."
        )
    tensors = {name: _plain(tensor) for name, tensor in found.items()}
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if not tensors or broken:
        what = f"values that are not finite in {_some(broken)}" if broken else "no tensors"
        raise WeightsError(f"{path} holds {what}. Use another file of weights.")
    return tensors


def fit(tensors: Mapping[str, Tensor], network: nn.Module, *, what: str) -> Fitted:
    """Give the tensors the network's names; the last layer is left out where its shape differs.

    Knows timm's names, torchvision's where they differ (VGG, DenseNet, EfficientNet), and prefixes such as
    `module.`. WeightsError, calling the file `what`, where something is missing, left over or misshapen.
    """
    wanted: dict[str, Tensor] = network.state_dict()
    head = _head_names(network)
    given = _reshaped(_renamed(_in_order(_unprefixed(dict(tensors), wanted), wanted, network), wanted), wanted)
    has_head = all(name in given and given[name].shape == wanted[name].shape for name in head)
    stem = next(iter(head)).rpartition(".")[0] + "."
    if not has_head:
        given = {name: tensor for name, tensor in given.items() if not name.startswith(stem)}
    needed = {n for n in wanted if not n.endswith("num_batches_tracked") and (has_head or n not in head)}
    missing = sorted(needed - set(given))
    left_over = sorted(set(given) - set(wanted))
    wrong = sorted(n for n in needed & set(given) if given[n].shape != wanted[n].shape)
    if missing or left_over or wrong:
        raise WeightsError(_misfit(what, network, missing, left_over, wrong, given, wanted, len(needed)))
    return Fitted({name: given[name] for name in given if name in wanted}, has_head)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is a damaged safetensors file ({error}). Fetch it again.") from error
    return tensors


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than weights, and code in it is not run here. Save its state_dict() alone, "
            "best as safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is a damaged torch file ({reason}). Fetch it again.") from error
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds a {type(found).__name__}, not weights by name. Save a state_dict().")
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float() if tensor.is_floating_point() else tensor.detach()


def _head_names(network: nn.Module) -> list[str]:
    head = {id(p) for p in network.get_classifier().parameters()}  # type: ignore[operator]
    return [name for name, p in network.named_parameters() if id(p) in head]


def _unprefixed(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without a first part that all of them share and the network lacks (`module.`, `backbone.`)."""
    first = {name.partition(".")[0] for name in tensors}
    if len(first) == 1 and all("." in name for name in tensors) and not set(tensors) & set(wanted):
        return {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
    return tensors


def _in_order(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """EfficientNets of other libraries: the same layers in the same order under other names.

    Taken only where every tensor agrees with its partner in shape and in the last part of its name.
    """
    if type(network).__name__ != "EfficientNet" or len(tensors) != len(wanted):
        return tensors
    pairs = list(zip(tensors, wanted, strict=True))
    head = set(_head_names(network))
    agrees = all(
        old.rpartition(".")[2] == new.rpartition(".")[2] and (new in head or tensors[old].shape == wanted[new].shape)
        for old, new in pairs
    )
    return {new: tensors[old] for old, new in pairs} if agrees else tensors


def _renamed(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make timm's names of torchvision's, for VGGs and for older files of DenseNets."""
    if "pre_logits.fc1.weight" in wanted:
        parts = {
            "classifier.0": "pre_logits.fc1",
            "classifier.3": "pre_logits.fc2",
            "classifier.6": "head.fc",
        }
        for old, new in parts.items():
            tensors = {re.sub(rf"^{re.escape(old)}\.", f"{new}.", name): t for name, t in tensors.items()}
    if any("denselayer" in name for name in wanted):
        tensors = {re.sub(r"(norm|conv)\.([12])\.", r"\1\2.", name): t for name, t in tensors.items()}
    return tensors


def _reshaped(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A linear layer's weight (out, in) as the convolution (out, in, h, w) that it is the same as."""

    def shaped(name: str, tensor: Tensor) -> Tensor:
        goal = wanted.get(name)
        same = goal is not None and tensor.ndim == 2 and goal.ndim == 4 and len(goal) == len(tensor)
        return tensor.reshape(goal.shape) if goal is not None and same and goal.numel() == tensor.numel() else tensor

    return {name: shaped(name, tensor) for name, tensor in tensors.items()}


def _misfit(
    what: str,
    network: nn.Module,
    missing: list[str],
    left_over: list[str],
    wrong: list[str],
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    n_needed: int,
) -> str:
    """Say how weights and network differ."""
    reasons = []
    if missing:
        reasons.append(f"{len(missing)} of {n_needed} tensors are missing ({_some(missing)})")
    if wrong:
        shapes = f"{tuple(given[wrong[0]].shape)} where {tuple(wanted[wrong[0]].shape)} is needed"
        reasons.append(f"{len(wrong)} have another shape ({_some(wrong)}: {shapes})")
    if left_over:
        reasons.append(f"{len(left_over)} are not the network's ({_some(left_over)})")
    differs = "; ".join(reasons)
    return f"{what} does not fit this {type(network).__name__}: {differs}. Name its network by --backbone."


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
