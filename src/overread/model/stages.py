"""The stages of a network from its input to its head: what can be frozen, or learn at a rate of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import timm
from torch import nn

from overread.model.alexnet import AlexNet

Stage = tuple[str, tuple[nn.Module, ...]]
"""A stage's name, and the modules that hold its parameters."""


def heads(network: nn.Module) -> tuple[nn.Module, ...]:
    """The last layers of a network: one, but for a few that average two."""
    found: Any = network.get_classifier()  # type: ignore[operator]
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def hidden_layers(network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """The two hidden layers between feature maps and last layer of AlexNet and the VGGs; None elsewhere.

    Their weights are (out, in), or (out, in, height, width).
    """
    if isinstance(network, AlexNet):
        return network.classifier[1], network.classifier[4]
    if isinstance(network, timm.models.VGG):
        layers: Any = network.pre_logits
        return layers.fc1, layers.fc2
    return None


def stages_of(network: nn.Module) -> tuple[Stage, ...]:
    """Every parameter of the network, in exactly one stage; the first is at the input, the last is the head.

    ResNets: stem, layer1 to layer4, head. AlexNet and VGGs: a block from each pooling to the next, the hidden
    layers, head. Others: as timm groups them (a block or a group of blocks each), head.
    """
    hidden = hidden_layers(network)
    body = list(_grouped(network)) if hidden is None else [*_pooled(network), ("hidden", hidden)]
    return (*body, ("head", heads(network)))


def _pooled(network: nn.Module) -> Iterator[Stage]:
    """The layers of `features`, cut after each pooling."""
    block: list[nn.Module] = []
    number = 0
    for layer in network.features:  # type: ignore[union-attr]
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            number += 1
            yield f"block{number}", tuple(block)
            block = []


def _grouped(network: nn.Module) -> Iterator[Stage]:
    """The stages below the head, as timm's own matcher of names groups the parameters."""
    numbers = _numbers(network)
    head = {id(p) for last in heads(network) for p in last.parameters()}
    named = dict(network.named_parameters())
    last = max((number for name, number in numbers.items() if id(named[name]) in head), default=-1)
    # Layers that the matcher forgets (a last normalisation) have the head's number: they join the last stage.
    below = {n: min(number, last - 1) for n, number in numbers.items() if id(named[n]) not in head}
    for number in sorted(set(below.values())):
        members = {name for name, of in below.items() if of == number}
        found = list(_cover(network, members))
        yield "stem" if number == min(below.values()) else found[0][0], tuple(module for _, module in found)


def _numbers(network: nn.Module) -> dict[str, int]:
    """A number for each parameter, rising from the input to the head; equal within a group."""
    if hasattr(network, "group_matcher"):
        matcher = network.group_matcher(coarse=True)  # type: ignore[operator]
        grouped: dict[str, int] = timm.models.group_parameters(network, matcher, reverse=True)
        return grouped
    order = {name: number for number, (name, _) in enumerate(network.named_children(), start=1)}
    return {name: order.get(name.partition(".")[0], 0) for name, _ in network.named_parameters()}


def _cover(module: nn.Module, members: set[str], prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The largest modules whose parameters are all members, and the members that belong to no such module."""
    own = [(name, p) for name, p in module.named_parameters(recurse=False) if prefix + name in members]
    if own:
        yield prefix + own[0][0], nn.ParameterList([p for _, p in own])
    for name, child in module.named_children():
        names = {f"{prefix}{name}.{n}" for n, _ in child.named_parameters()}
        if names and names <= members:
            yield prefix + name, child
        elif names & members:
            yield from _cover(child, members, f"{prefix}{name}.")
