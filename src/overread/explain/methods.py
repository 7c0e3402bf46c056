"""Maps of the evidence for a class, by the methods that radiology's papers use.

All explain one score: the logit of the class less the mean of all logits, or less that of another class. A network's
answers do not change where the same number is added to all logits, so that a logit alone means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from overread.errors import ModelError, SettingsError
from overread.explain.where import CLASS_MAP
from overread.model.maps import ThreeOutputs

METHODS = {
    CLASS_MAP: "class activation maps (Zhou et al. 2016) or HiResCAM, from the prediction's own pass; signed",
    "grad-cam": "Grad-CAM (Selvaraju et al. 2017)",
    "grad-cam++": "Grad-CAM++ (Chattopadhay et al. 2018)",
    "hires-cam": "HiResCAM (Draelos and Carin 2020); signed",
    "layer-cam": "LayerCAM (Jiang et al. 2021), at the last stage",
    "score-cam": "Score-CAM (Wang et al. 2020), of the 64 strongest channels; a pass for each",
    "eigen-cam": "Eigen-CAM (Muhammad and Yeasin 2020); the same for every class",
    "integrated-gradients": "integrated gradients (Sundararajan et al. 2017) from black, 32 steps; signed",
    "occlusion": "occlusion by grey squares (Zeiler and Fergus 2014); signed",
}
_CHANNELS, _STEPS, _GRID, _BATCH = 64, 32, 56, 16

Score = Callable[[Tensor, Tensor], Tensor]
"""logits (m, k), and the image that each row is of, to scores (m,)"""
Places = NDArray[np.int64]


def check_method(name: str) -> None:
    """Refuse a name that is no method, in the words of the command line."""
    if name not in METHODS:
        raise SettingsError(f"--method {name} is not known; it is one of {', '.join(METHODS)}.")


def explain(
    network: nn.Module, images: Tensor, targets: Places, *, method: str, against: Places | None = None
) -> NDArray[np.float32]:
    """Maps (n, h, w) of the evidence for `targets` (n,), less that for all classes on the average or for `against`.

    images: (n, 3, s, s) float32, normalised. Maps are 0 or more, but where `METHODS` says signed; h and w are those
    of the network's last stage, or for integrated gradients and occlusion a grid of 56 or fewer, where the image's
    side has such a divisor. Raises SettingsError for a method that is not known, ModelError for a network whose last
    features have no places.
    """
    check_method(method)
    target = torch.as_tensor(targets)
    other = None if against is None else torch.as_tensor(against)
    with _for_evaluation(network):
        found = [
            _explain(network, images[at : at + _BATCH], _score(target, other, at), method)
            for at in range(0, len(images), _BATCH)
        ]
    return np.concatenate(found).astype(np.float32)


def _score(target: Tensor, other: Tensor | None, at: int) -> Score:
    chosen = target[at : at + _BATCH]
    beside = None if other is None else other[at : at + _BATCH]

    def score(logits: Tensor, of: Tensor) -> Tensor:
        own = logits.gather(1, chosen[of][:, None])[:, 0]
        return own - (logits.mean(dim=1) if beside is None else logits.gather(1, beside[of][:, None])[:, 0])

    return score


def _each(images: Tensor) -> Tensor:
    return torch.arange(len(images))


def _explain(network: nn.Module, images: Tensor, score: Score, method: str) -> NDArray[Any]:
    if method == CLASS_MAP:
        return _class_maps(network, images, score)
    if method == "integrated-gradients":
        return _integrated(network, images, score)
    if method == "occlusion":
        return _occluded(network, images, score)
    maps, gradients = _maps_and_gradients(network, images, score)
    if method == "score-cam":
        return _scored(network, images, score, maps)
    return _CAMS[method](maps, gradients).numpy()


def _class_maps(network: nn.Module, images: Tensor, score: Score) -> NDArray[Any]:
    with torch.no_grad():
        _, _, class_maps = ThreeOutputs(network, size_px=images.shape[-1])(images)
    n, k, h, w = class_maps.shape
    by_place = class_maps.permute(2, 3, 0, 1).reshape(h * w * n, k)  # place after place, each with all images
    of = torch.arange(n).repeat(h * w)
    return score(by_place, of).reshape(h, w, n).permute(2, 0, 1).numpy()


def _maps_and_gradients(network: nn.Module, images: Tensor, score: Score) -> tuple[Tensor, Tensor]:
    """The last feature maps (n, c, h, w), and the gradient of the score by them."""
    found = network.forward_features(images)  # type: ignore[operator]
    if not isinstance(found, Tensor) or found.ndim not in (3, 4):
        raise ModelError(f"{type(network).__name__} has no maps of features to explain it by.")
    maps = found.detach().requires_grad_(True)
    with torch.enable_grad():
        value = score(network.forward_head(maps), _each(images)).sum()  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(value, maps)
    return _with_places(network, maps.detach()), _with_places(network, gradient)


def _with_places(network: nn.Module, maps: Tensor) -> Tensor:
    """Feature maps of any of timm's layouts as (n, c, h, w)."""
    if maps.ndim == 3:
        places = maps[:, getattr(network, "num_prefix_tokens", 0) :]
        side = math.isqrt(places.shape[1])
        if side * side != places.shape[1]:
            raise ModelError(f"{type(network).__name__} has {places.shape[1]} places, not a square.")
        return places.transpose(1, 2).reshape(len(maps), -1, side, side)
    return maps.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else maps


def _grad_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    return (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1).relu()


def _grad_cam_plus(maps: Tensor, gradients: Tensor) -> Tensor:
    squared, total = gradients**2, maps.sum(dim=(2, 3), keepdim=True)
    below = 2 * squared + total * gradients**3
    alpha = torch.where(gradients != 0, squared / (below + 1e-6), 0)
    weights = (alpha * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).relu()


def _hires_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    return (gradients * maps).sum(dim=1)


def _layer_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    return (gradients.relu() * maps).sum(dim=1).relu()


def _eigen_cam(maps: Tensor, gradients: Tensor) -> Tensor:
    """The first principal component of the places' features, turned so that strong activation is positive."""
    places = maps.flatten(2).transpose(1, 2)
    centred = places - places.mean(dim=1, keepdim=True)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[:, 0]
    found = (centred @ direction[..., None])[..., 0]
    turned = torch.where((found * places.mean(dim=2)).sum(dim=1, keepdim=True) < 0, -found, found)
    return turned.reshape(len(maps), *maps.shape[2:]).relu()


_CAMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": _grad_cam_plus,
    "hires-cam": _hires_cam,
    "layer-cam": _layer_cam,
    "eigen-cam": _eigen_cam,
}


def _scored(network: nn.Module, images: Tensor, score: Score, maps: Tensor) -> NDArray[Any]:
    """Each channel counts as much as the score that is left where it alone lets the image through."""
    kept = maps.mean(dim=(2, 3)).topk(min(_CHANNELS, maps.shape[1]), dim=1).indices
    chosen = maps.gather(1, kept[:, :, None, None].expand(-1, -1, *maps.shape[2:]))
    low, high = chosen.amin(dim=(2, 3), keepdim=True), chosen.amax(dim=(2, 3), keepdim=True)
    veils = functional.interpolate(
        (chosen - low) / (high - low).clamp(min=1e-8), size=images.shape[2:], mode="bilinear", align_corners=False
    )
    with torch.no_grad():
        scores = torch.stack(
            [score(network(images * veils[:, i : i + 1]), _each(images)) for i in range(veils.shape[1])], dim=1
        )
    weights = scores.softmax(dim=1)
    return (weights[..., None, None] * chosen).sum(dim=1).relu().numpy()


def _integrated(network: nn.Module, images: Tensor, score: Score) -> NDArray[Any]:
    with torch.enable_grad():
        method = IntegratedGradients(lambda batch, of: score(network(batch), of))
        found = method.attribute(
            images,
            baselines=_black(images),
            additional_forward_args=(_each(images),),
            n_steps=_STEPS,
            internal_batch_size=_BATCH,
        )
    return _on_grid(found.detach().sum(dim=1))


def _occluded(network: nn.Module, images: Tensor, score: Score) -> NDArray[Any]:
    side = images.shape[-1]
    patch, stride = max(2, side // 8), max(1, side // 16)
    grey = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    with torch.no_grad():
        method = Occlusion(lambda batch, of: score(network(batch), of))
        found = method.attribute(
            images,
            sliding_window_shapes=(3, patch, patch),
            strides=(3, stride, stride),
            baselines=grey,
            additional_forward_args=(_each(images),),
        )
    return _on_grid(found.detach().sum(dim=1))


def _black(images: Tensor) -> Tensor:
    return images.amin(dim=(2, 3), keepdim=True).expand_as(images)


def _on_grid(found: Tensor) -> NDArray[Any]:
    """Sums over the squares of a grid that a person can read; the total stays."""
    side = found.shape[-1]
    grid = next((n for n in range(min(_GRID, side), 7, -1) if side % n == 0), side)
    step = side // grid
    return (functional.avg_pool2d(found[:, None], step)[:, 0] * step**2).numpy()


@contextmanager
def _for_evaluation(network: nn.Module) -> Iterator[None]:
    """The network predicts, and its weights need no gradient; both are as before afterwards, part by part."""
    modes = [(module, module.training) for module in network.modules()]
    needed = [(p, p.requires_grad) for p in network.parameters()]
    network.eval()
    for p, _ in needed:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:  # frozen stages may predict while the rest learns
            module.training = training
        for p, need in needed:
            p.requires_grad_(need)
