"""Pretrained weights: from a file, the hub's cache, the hub, or an installed package; never from nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from overread.errors import WeightsError
from overread.model.backbones import Channels, pretraining, sketch
from overread.model.checkpoint import Fitted, fit, read_tensors
from overread.model.internet import Internet
from overread.model.places import AbsentError, places, sha256_of

AUTO = ("resnet18", "tf_efficientnet_lite0")
"""What `--backbone auto` tries, in this order."""

GUESSED = ("resnet18", "resnet50", "tf_efficientnet_lite0")
"""Networks that a file of weights is tried on where no backbone is named."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Pretrained weights that were found, and how their network wants its input."""

    backbone: str
    path: Path | None
    """None for random weights, which were asked for"""
    source: str
    """where they came from, in words"""
    mean: Channels
    std: Channels
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A network, its weights, and a sentence on why it was chosen."""

    backbone: str
    weights: Weights
    why: str


def find_weights(
    backbone: str, spec: str = "auto", *, timeout_s: float = 4.0, internet: Internet | None = None
) -> Weights:
    """The weights of a network: in the file or folder `spec`, or with `auto` in the first place that has them.

    `none` means random weights, and must be asked for. Hand one `internet` through several searches, so that
    a silent server is waited for once. WeightsError tells each place that was tried and what was found there.
    """
    known = pretraining(backbone)
    blank = Weights(
        backbone=backbone,
        path=None,
        source="none: random weights, as asked",
        mean=known.mean,
        std=known.std,
        sha256=None,
    )
    if spec == "none":
        return blank
    if spec != "auto":
        path = Path(spec).expanduser()
        if path.is_dir():
            path = _in_folder(path, backbone)
        if not path.is_file():
            raise WeightsError(f"There is no file of weights at {spec}. Give --weights a file, auto or none.")
        return replace(blank, path=path, source=f"the file {path.name}", sha256=sha256_of(path))
    tried: list[str] = []
    licence = f", licence {known.licence}" if known.licence else ""
    for place, look in places(backbone, internet or Internet(timeout_s=timeout_s)):
        try:
            path = look()
        except AbsentError as reason:
            tried.append(f"{place}: {reason}")
        else:
            return replace(blank, path=path, source=f"{place} ({path.name}{licence})", sha256=sha256_of(path))
    raise WeightsError(
        f"No pretrained weights for {backbone} were found. Tried {'; '.join(tried)}. Give a file by "
        "--weights FILE, choose --backbone auto, or ask for random ones by --weights none."
    )


def load_weights(network: nn.Module, weights: Weights) -> bool:
    """Put weights into a network; the last layer stays new where the file's has other classes.

    Returns whether the last layer was loaded too. WeightsError where the file does not fit the network.
    """
    if weights.path is None:
        return False
    fitted = _fit_file(weights.path, network)
    network.load_state_dict(fitted.tensors, strict=False)
    return fitted.has_head


def choose_backbone(
    backbone: str = "auto", spec: str = "auto", *, timeout_s: float = 4.0, internet: Internet | None = None
) -> Choice:
    """The network to train and its weights; `auto` is ResNet-18 where they can be had, else a smaller one.

    With a file of weights, `auto` is the network that the file fits.
    """
    if backbone != "auto":
        weights = find_weights(backbone, spec, timeout_s=timeout_s, internet=internet)
        return Choice(backbone=backbone, weights=weights, why=f"{backbone}, as asked; weights: {weights.source}.")
    if spec == "none":
        weights = find_weights(AUTO[0], "none")
        return Choice(backbone=AUTO[0], weights=weights, why=f"{AUTO[0]}, the default; weights: {weights.source}.")
    if spec != "auto" and not Path(spec).expanduser().is_dir():
        return _guess(Path(spec).expanduser())
    internet = internet or Internet(timeout_s=timeout_s)
    failures: list[WeightsError] = []
    for name in AUTO:
        try:
            weights = find_weights(name, spec, internet=internet)
        except WeightsError as error:
            failures.append(error)
        else:
            why = f"{name}, with weights from {weights.source}."
            if failures:
                why = f"{why[:-1]}, because those of {AUTO[0]} cannot be had here (--weights FILE gives them)."
            return Choice(backbone=name, weights=weights, why=why)
    raise WeightsError(" ".join(str(failure) for failure in failures)) from failures[-1]


def _in_folder(folder: Path, backbone: str) -> Path:
    """The file of a folder that is named after the network: `resnet18.safetensors`, `resnet18-f37072fd.pth`."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".pth")]
    fitting = [path for path in files if re.split(r"[-.]", path.name)[0] == backbone]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(path.name for path in fitting or files) or "none"
    raise WeightsError(
        f"{folder} should hold one file of weights named after {backbone}, such as {backbone}.safetensors; "
        f"found {found}. Add or rename one, or give --weights a file."
    )


def _guess(path: Path) -> Choice:
    """The first of the usual networks that a file of weights fits."""
    tensors = read_tensors(path)
    for name in GUESSED:
        try:
            fit(tensors, sketch(name), what=path.name)
        except WeightsError:
            continue
        weights = find_weights(name, str(path))
        return Choice(backbone=name, weights=weights, why=f"{name}, because {path.name} holds its weights.")
    raise WeightsError(f"{path.name} fits none of {', '.join(GUESSED)}. Name its network by --backbone.")


def _fit_file(path: Path, network: nn.Module) -> Fitted:
    return fit(read_tensors(path), network, what=path.name)
