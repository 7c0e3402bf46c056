from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.errors import ModelError, SettingsError
from overread.explain.methods import METHODS, explain
from overread.model.backbones import create
from overread.model.maps import ThreeOutputs

CAMS = {
    "grad-cam": "GradCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "hires-cam": "HiResCAM",
    "layer-cam": "LayerCAM",
    "eigen-cam": "EigenCAM",
}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return create("test_resnet", 3, seed=0).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))


TARGETS = np.array([1, 2, 1])


def scaled(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return np.asarray((maps - low) / np.maximum(high - low, 1e-12))


def test_grad_cam_of_an_averaging_network_is_its_class_map(network: nn.Module, images: Tensor) -> None:
    """Selvaraju et al. 2017, section 3: with global average pooling the two are one, up to a factor."""
    class_maps = explain(network, images, TARGETS, method="class-map")
    places = class_maps.shape[1] * class_maps.shape[2]
    found = explain(network, images, TARGETS, method="grad-cam")
    assert found == pytest.approx(np.maximum(class_maps, 0) / places, abs=1e-4)
    assert scaled(found) == pytest.approx(scaled(np.maximum(class_maps, 0)), abs=1e-4)
    assert explain(network, images, TARGETS, method="hires-cam") == pytest.approx(class_maps / places, abs=1e-4)


def test_class_maps_are_those_of_the_three_outputs(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        _, _, maps = ThreeOutputs(network, size_px=96)(images)
    own = maps.numpy()[np.arange(3), TARGETS]
    assert explain(network, images, TARGETS, method="class-map") == pytest.approx(
        own - maps.numpy().mean(1), abs=1e-5
    )


@pytest.mark.parametrize(("name", "side"), [("test_resnet", 96), ("resnet18", 160)])
@pytest.mark.parametrize("method", CAMS)
def test_as_another_library_has_it(method: str, name: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it enlarges its maps; Eigen-CAM up to the sign, which a singular vector leaves open."""
    import pytorch_grad_cam

    network = create(name, 3, seed=0).eval()
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    theirs = getattr(pytorch_grad_cam, CAMS[method])(model=network, target_layers=[network.layer4])
    make, raw = theirs.get_cam_image, []
    monkeypatch.setattr(theirs, "get_cam_image", lambda *args: raw.append(make(*args)) or raw[-1])
    theirs(input_tensor=images, targets=[lambda logits, c=c: logits[c] - logits.mean() for c in TARGETS.tolist()])
    found = np.maximum(explain(network, images, TARGETS, method=method), 0)
    assert (found.max(axis=(1, 2)) > 0).all()
    for ours, map_of_theirs in zip(found, raw[0], strict=True):
        turned = [map_of_theirs, -map_of_theirs] if method == "eigen-cam" else [map_of_theirs]
        wanted = [scaled(np.maximum(one, 0)[None])[0] for one in turned]
        assert min(np.abs(scaled(ours[None])[0] - one).max() for one in wanted) < 1e-4


def test_as_captum_has_grad_cam(network: nn.Module, images: Tensor) -> None:
    def contrast(batch: Tensor) -> Tensor:
        logits: Tensor = network(batch)
        return logits - logits.mean(dim=1, keepdim=True)

    layer = LayerGradCam(contrast, network.layer4)
    theirs = layer.attribute(
        images.clone().requires_grad_(True), target=torch.as_tensor(TARGETS), relu_attributions=True
    )
    found = explain(network, images, TARGETS, method="grad-cam")
    assert found == pytest.approx(theirs.detach().numpy()[:, 0], abs=1e-5)


def test_eigen_cam_is_the_first_component_of_the_places(network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        maps = network.forward_features(images).numpy()
    for heat, one in zip(explain(network, images, TARGETS, method="eigen-cam"), maps, strict=True):
        places = one.reshape(len(one), -1).T
        _, _, directions = np.linalg.svd(places - places.mean(axis=0), full_matrices=False)
        along = (places - places.mean(axis=0)) @ directions[0]
        up = along if np.dot(along, places.mean(axis=1)) >= 0 else -along
        assert heat.ravel() == pytest.approx(np.maximum(up, 0), abs=1e-4)


def test_integrated_gradients_sum_to_the_difference_from_black(network: nn.Module, images: Tensor) -> None:
    found = explain(network, images, TARGETS, method="integrated-gradients")
    with torch.no_grad():
        black = images.amin(dim=(2, 3), keepdim=True).expand_as(images)
        logits = (network(images) - network(black)).numpy()
    wanted = logits[np.arange(3), TARGETS] - logits.mean(axis=1)
    assert found.sum(axis=(1, 2)) == pytest.approx(wanted, rel=0.05)


class Bright(nn.Module):
    """Says class 1 the more, the brighter the lower right quarter is; its features have places."""

    num_features = 1
    output_fmt = "NCHW"

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2, bias=False)
        self.fc.weight.data = torch.tensor([[-1.0], [1.0]])

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward_features(self, images: Tensor) -> Tensor:
        maps = nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 14)
        where = torch.zeros_like(maps)
        where[..., maps.shape[2] // 2 :, maps.shape[3] // 2 :] = 1
        return maps * where

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        features = maps.mean(dim=(2, 3))
        return features if pre_logits else self.fc(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_only_evidence_there_is(method: str) -> None:
    images = torch.zeros(2, 3, 112, 112)
    images[:, :, 70:98, 56:84] = 2.0
    images[:, :, 7:42, 7:42] = 2.0  # as bright, and of no use to the network
    found = explain(Bright(), images, np.array([1, 1]), method=method)
    assert found.shape[0] == 2
    for heat in found:
        fine = np.kron(heat, np.ones((112 // heat.shape[0],) * 2))
        peak = np.unravel_index(fine.argmax(), fine.shape)
        assert 64 <= peak[0] < 104
        assert 50 <= peak[1] < 90
        assert fine[:42, :42].max() <= 0.05 * fine.max()


def test_why_this_and_not_that_is_a_difference(network: nn.Module, images: Tensor) -> None:
    zero, one, two = (explain(network, images, np.full(3, c), method="class-map") for c in range(3))
    against = explain(network, images, np.full(3, 0), method="class-map", against=np.full(3, 1))
    assert against == pytest.approx(zero - one, abs=1e-4)
    assert zero + one + two == pytest.approx(0 * zero, abs=1e-4)


def test_the_network_is_left_as_it_was(network: nn.Module, images: Tensor) -> None:
    fresh = create("test_resnet", 3, seed=1).train()
    next(fresh.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    for method in METHODS:
        explain(fresh, images[:1], TARGETS[:1], method=method)
    assert fresh.training
    assert [p.requires_grad for p in fresh.parameters()] == [False] + [True] * (len(list(fresh.parameters())) - 1)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert all(p.grad is None for p in fresh.parameters())


def test_frozen_stages_stay_as_they_were(images: Tensor) -> None:
    fresh = create("test_resnet", 3, seed=1).train()
    fresh.layer1.eval()
    modes = [module.training for module in fresh.modules()]
    explain(fresh, images[:1], TARGETS[:1], method="class-map")
    assert [module.training for module in fresh.modules()] == modes


@pytest.mark.parametrize("kind", ["vector", "pair", "three places"])
@pytest.mark.parametrize("method", ["class-map", "grad-cam", "score-cam"])
def test_a_network_without_places_is_refused(method: str, kind: str) -> None:
    network = Bright()

    def features(images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        means = images.mean(dim=(2, 3))[:, :1]
        return {"vector": means, "pair": (means, means), "three places": means[:, None].expand(-1, 3, -1)}[kind]

    def head(maps: Tensor, pre_logits: bool = False) -> Tensor:
        vector = maps.mean(dim=1) if maps.ndim == 3 else maps
        return vector if pre_logits else network.fc(vector)

    network.forward_features, network.forward_head = features, head  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"Bright has (no maps of features|3 places, not a square)"):
        explain(network, torch.zeros(2, 3, 32, 32), np.array([0, 1]), method=method)


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet", "alexnet"])
def test_other_kinds_of_networks(name: str) -> None:
    network = create(name, 2, seed=0).eval()
    side = 96 if name == "alexnet" else 160
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    for method in ("class-map", "grad-cam", "hires-cam", "layer-cam", "eigen-cam"):
        found = explain(network, images, np.array([1]), method=method)
        assert np.isfinite(found).all()
        assert found.ndim == 3


def test_a_method_that_is_not_known_is_refused(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(SettingsError, match=r"--method grad is not known; it is one of class-map, grad-cam"):
        explain(network, images, TARGETS, method="grad")
