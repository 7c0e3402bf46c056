"""The layers of any network with their output shapes and true parameter counts, as in a paper's Table 1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from overread.errors import ModelError
from overread.model.backbones import pretraining, sketch, stages_of

BLOCKS = {
    "BasicBlock": "residual block",
    "Bottleneck": "bottleneck block",
    "InvertedResidual": "inverted residual block",
    "DepthwiseSeparableConv": "depthwise separable block",
    "EdgeResidual": "fused inverted residual block",
    "DenseTransition": "transition",
    "ConvBnAct": "convolution block",
    "ConvNormAct": "convolution block",
    "ConvNeXtStage": "ConvNeXt stage",
    "Block": "transformer block",
    "PatchEmbed": "patches of the image",
    "BatchNormAct2d": "batch normalisation and activation",
}
"""The field's words for blocks whose class is named otherwise."""

COUNT = {2: "two", 3: "three", 4: "four"}
MOST_LISTED = 4
"""How many convolutions of a block its description lists one by one."""

SILENT = (nn.Identity, nn.Dropout, nn.Flatten, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
"""Layers without parameters that a table of layers leaves out."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row: a layer, or a block of layers."""

    name: str
    output_shape: tuple[int, ...]
    """for one image, without the batch; empty for a layer that is not called as such"""
    parameters: int
    description: str


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """All rows of a network; their parameters add up to `parameters`, which is the network's own count."""

    backbone: str
    n_classes: int
    size_px: int
    layers: tuple[Layer, ...]
    parameters: int
    stages: tuple[str, ...]
    """from the input to the head, as `--freeze` counts them"""


def layer_table(name: str, n_classes: int | None = None, *, size_px: int = 224) -> LayerTable:
    """The layers of a network for square images of `size_px`; needs no weights and computes no values.

    `n_classes` is that of the published weights (1000 for ImageNet) where it is not given. ModelError where
    the name is not known, or the network cannot take images of that size.
    """
    n_classes = pretraining(name).n_classes if n_classes is None else n_classes
    network = sketch(name, n_classes).eval()
    rows = list(_rows(network))
    shapes = _shapes(network, rows, name=name, size_px=size_px)
    counts = _counts(rows)
    layers = tuple(
        Layer(name=row, output_shape=shapes.get(row, ()), parameters=counts[row], description=_describe(module))
        for row, module in rows
        if counts[row] or not isinstance(module, SILENT)
    )
    return LayerTable(
        backbone=name,
        n_classes=n_classes,
        size_px=size_px,
        layers=layers,
        parameters=sum(p.numel() for p in network.parameters()),
        stages=tuple(stage for stage, _ in stages_of(network)),
    )


def _rows(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Single layers and whole blocks in order; containers, heads and trunks are opened."""
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own and prefix == "":
        yield " + ".join(own), nn.ParameterList([p for _, p in module.named_parameters(recurse=False)])
    for name, child in module.named_children():
        is_container = isinstance(child, nn.Sequential | nn.ModuleList)
        is_head = name in ("head", "pre_logits") and any(child.children())
        if (is_container or is_head) and not any(True for _ in child.parameters(recurse=False)):
            yield from _rows(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _shapes(
    network: nn.Module, rows: list[tuple[str, nn.Module]], *, name: str, size_px: int
) -> dict[str, tuple[int, ...]]:
    """The output shape of each row, from a pass of an image without values through the network."""
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(row: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            shapes[row] = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()

        return hook

    handles = [module.register_forward_hook(keep(row)) for row, module in rows]  # type: ignore[arg-type]
    try:
        with torch.no_grad():
            network(torch.empty(1, 3, size_px, size_px, device="meta"))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{name} cannot take images of {size_px} x {size_px} ({reason}). Choose another --size-px; "
            "224 suits nearly every network."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def _counts(rows: list[tuple[str, nn.Module]]) -> dict[str, int]:
    """Parameters of each row; one that several rows share counts in the first of them only."""
    seen: set[int] = set()
    counts: dict[str, int] = {}
    for row, module in rows:
        new = [p for p in module.parameters() if id(p) not in seen]
        seen.update(id(p) for p in new)
        counts[row] = sum(p.numel() for p in new)
    return counts


def _describe(module: nn.Module) -> str:
    """Tell in plain English what a layer or block is."""
    match module:
        case nn.Conv2d():
            return _describe_convolution(module)
        case nn.Linear():
            return f"fully connected, {module.in_features} to {module.out_features}"
        case nn.MaxPool2d():
            return f"{_side(module.kernel_size)} max pooling, stride {_first(module.stride)}"
        case nn.BatchNorm2d() if type(module).__name__ in ("BatchNorm2d", "FrozenBatchNorm2d"):
            return "batch normalisation"
        case nn.LayerNorm():
            return "layer normalisation"
        case nn.ParameterList():
            return "learned tokens and positions"
    kind = type(module).__name__
    if "Pool" in kind:
        return _describe_pooling(module)
    return _describe_block(module, BLOCKS.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", kind).lower())


def _describe_pooling(layer: nn.Module) -> str:
    if next(layer.parameters(), None) is not None:
        return "attention pooling"
    if isinstance(layer, nn.AvgPool2d):
        return f"{_side(layer.kernel_size)} average pooling, stride {_first(layer.stride)}"
    size = getattr(layer, "output_size", 1)
    return f"average pooling to {_side(size)}" if size not in (1, (1, 1)) else "average over the map"


def _describe_block(module: nn.Module, what: str) -> str:
    """Name a block, and the convolutions in it where they are few; gates of attention are left out."""
    named = [(n, m) for n, m in module.named_modules() if isinstance(m, nn.Conv2d) and "se." not in n]
    shortcut = [m for n, m in named if "downsample" in n or "shortcut" in n]
    main = [m for _, m in named if m not in shortcut]
    if not main:
        return what
    if len(main) > MOST_LISTED:
        return f"{what}: {len(main)} convolutions"
    sizes = [_side(m.kernel_size) for m in main]
    if len(sizes) > 1 and len(set(sizes)) == 1:
        text = f"{what}: {COUNT[len(sizes)]} {sizes[0]} convolutions"
    else:
        text = f"{what}: {', '.join(sizes)} convolution{'s' * (len(sizes) > 1)}"
    text += f", {main[-1].out_channels} filters"
    if (stride := max(_first(m.stride) for m in main)) > 1:
        text += f", stride {stride}"
    return text + (f", {_side(shortcut[0].kernel_size)} shortcut" if shortcut else "")


def _describe_convolution(layer: nn.Conv2d) -> str:
    depthwise = "depthwise " if layer.groups == layer.in_channels > 1 else ""
    stride = f", stride {_first(layer.stride)}" if _first(layer.stride) > 1 else ""
    return f"{_side(layer.kernel_size)} {depthwise}convolution, {layer.out_channels} filters{stride}"


def _first(size: int | tuple[int, ...] | None) -> int:
    return size[0] if isinstance(size, tuple) else size or 1


def _side(size: int | tuple[int, ...]) -> str:
    """A kernel's sides.

    >>> _side(3), _side((1, 7))
    ('3 x 3', '1 x 7')
    """
    height, width = size[:2] if isinstance(size, tuple) else (size, size)
    return f"{height} x {width}"
