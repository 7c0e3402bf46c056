"""Networks by name: timm's, and torchvision's AlexNet. Every one is made, named and cut into stages alike."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from overread.errors import ModelError
from overread.model.alexnet import AlexNet
from overread.model.stages import Stage, heads, stages_of

__all__ = ["Backbone", "Stage", "create", "describe", "list_backbones", "pretraining", "sketch", "stages_of"]

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What is known of a network by its name alone."""

    name: str
    n_features: int
    """how many pooled features its last layer sees; 0 where it has no such layer"""
    stages: tuple[str, ...]
    """from the input to the head; `--freeze N` keeps the first N"""
    mean: Channels
    std: Channels
    """by channel, of pixels in 0 to 1, as its pretrained weights expect them"""


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How the pretrained weights of a network were made, and where they are published."""

    mean: Channels
    std: Channels
    n_classes: int
    hub_id: str | None
    """repository on the Hugging Face hub"""
    url: str | None
    """address of a file outside that hub"""
    licence: str | None


def list_backbones() -> list[str]:
    """All names that `create` takes; a tag of timm's (`resnet18.tv_in1k`) may follow any of them."""
    return sorted(["alexnet", *timm.list_models()])


def create(name: str, n_classes: int, *, seed: int) -> nn.Module:
    """Make a network with random weights that depend on the seed alone; torch's own generator is untouched.

    It takes float32 (n, 3, h, w) and returns logits (n, n_classes). ModelError for a name that is not
    known, and for a network whose head is not one linear layer.
    """
    _check(name, n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _make(name, n_classes)
        head, *others = heads(network)
        if others or not isinstance(head, nn.Linear):
            raise ModelError(
                f"{name} ends in {type(head).__name__}, not in one linear layer, so its features and "
                "class maps are not defined here. Choose another, such as resnet18 or convnext_tiny."
            )
        _calm(head)
    return network


@torch.no_grad()
def _calm(head: nn.Linear) -> None:
    """Draw a last layer anew whose values are so large that the network would start out certain, and wrong.

    EfficientNets come with a spread of 1 / sqrt(classes), made for a thousand classes: with three, the first
    epochs would undo it at the cost of what the pretrained layers know.
    """
    if head.in_features and head.weight.std(correction=0) > head.in_features**-0.5:
        head.reset_parameters()


def sketch(name: str, n_classes: int | None = None) -> nn.Module:
    """Make a network without values: shapes only, at once and in no memory. It cannot compute."""
    n_classes = pretraining(name).n_classes if n_classes is None else n_classes
    _check(name, n_classes)
    try:
        with torch.device("meta"):
            return _make(name, n_classes)
    except (RuntimeError, NotImplementedError):  # some networks compute while they are being made
        with torch.random.fork_rng(devices=[]):
            return _make(name, n_classes).to("meta")


def describe(name: str) -> Backbone:
    """What is known of a network by its name alone; nothing is read or computed."""
    network, known = sketch(name), pretraining(name)
    head = heads(network)[0]
    return Backbone(
        name=name,
        n_features=getattr(head, "in_features", 0) or getattr(head, "in_channels", 0),
        stages=tuple(stage for stage, _ in stages_of(network)),
        mean=known.mean,
        std=known.std,
    )


def pretraining(name: str) -> Pretraining:
    """How the pretrained weights of a network were made, and where they are published."""
    _check(name, 1)
    if name == "alexnet":
        import torchvision

        return Pretraining(
            mean=IMAGENET_DEFAULT_MEAN,
            std=IMAGENET_DEFAULT_STD,
            n_classes=1000,
            hub_id=None,
            url=torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url,
            licence="BSD-3-Clause",
        )
    known: Any = timm.get_pretrained_cfg(name)
    return Pretraining(
        mean=tuple(known.mean or IMAGENET_DEFAULT_MEAN),
        std=tuple(known.std or IMAGENET_DEFAULT_STD),
        n_classes=known.num_classes or 1000,
        hub_id=known.hf_hub_id,
        url=None,
        licence=known.license,
    )


def _check(name: str, n_classes: int) -> None:
    if n_classes < 1:
        raise ModelError(f"A network of {n_classes} classes cannot be made; it takes at least one.")
    if name == "alexnet" or name in timm.list_models():
        return
    if name in timm.list_pretrained(name.partition(".")[0]):
        return
    names = list_backbones()
    if name.partition(".")[0] in names:
        plain = name.partition(".")[0]
        tags = ", ".join(timm.list_pretrained(plain)) or f"only {plain}, without a tag"
        raise ModelError(f"{name}: {plain} has no such pretraining. Known: {tags}.")
    close = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.5)
    hint = f"Did you mean {', '.join(close)}?" if close else "Try resnet18, resnet50, efficientnet_b0 or vgg16."
    raise ModelError(f"{name} is not a network that timm or overread knows. {hint}")


def _make(name: str, n_classes: int) -> nn.Module:
    if name == "alexnet":
        return AlexNet(n_classes)
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=n_classes)
        heads(network)
    except (AttributeError, TypeError) as error:
        raise ModelError(f"{name} cannot be made into a classifier: {error}.") from error
    return network
