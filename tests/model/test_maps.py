from __future__ import annotations

import pytest
import torch
from torch import nn

from overread.model.backbones import create
from overread.model.maps import METHODS, ThreeOutputs


def images(size_px: int) -> torch.Tensor:
    return torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def alexnet() -> nn.Module:
    return create("alexnet", 3, seed=0).eval()


@pytest.mark.parametrize("name", ["resnet18", "regnety_002"])
def test_the_mean_of_a_class_activation_map_plus_the_bias_is_the_logit(name: str) -> None:
    network = create(name, 4, seed=0).eval()
    outputs = ThreeOutputs(network, size_px=96)
    with torch.inference_mode():
        logits, features, maps = outputs(images(96))
        assert torch.allclose(logits, network(images(96)), atol=1e-4)
    assert outputs.method == "average"
    assert maps.shape == (2, 4, 3, 3)
    assert features.shape == (2, network.num_features)
    assert torch.allclose(maps.mean(dim=(2, 3)) + outputs.head.bias, logits, atol=1e-4)


@pytest.mark.parametrize("size_px", [96, 224, 256])
def test_the_maps_of_alexnet_are_gradient_times_activation(alexnet: nn.Module, size_px: int) -> None:
    outputs = ThreeOutputs(alexnet, size_px=size_px)
    assert outputs.method == "hidden"
    with torch.no_grad():
        logits, features, maps = outputs(images(size_px))
        activations = alexnet.avgpool(alexnet.features(images(size_px)))
    activations.requires_grad_(True)
    found = alexnet.classifier(activations.flatten(1))
    assert torch.allclose(logits, found, atol=1e-5)
    assert features.shape == (2, 4096)
    for number in range(3):
        (gradient,) = torch.autograd.grad(found[:, number].sum(), activations, retain_graph=True)
        assert torch.allclose(maps[:, number], (gradient * activations).sum(dim=1) * 36, atol=1e-5)


def test_the_maps_of_alexnet_without_biases_average_to_the_logits(alexnet: nn.Module) -> None:
    bare = create("alexnet", 3, seed=0).eval()
    for layer in bare.classifier:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        logits, _, maps = ThreeOutputs(bare, size_px=224)(images(224))
    assert torch.allclose(maps.mean(dim=(2, 3)), logits, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size_px", [64, 256])
def test_the_maps_of_a_vgg_average_to_the_logits_when_biases_are_zero(size_px: int) -> None:
    network = create("vgg11", 3, seed=0).eval()  # timm makes it with biases of zero
    outputs = ThreeOutputs(network, size_px=size_px)
    with torch.no_grad():
        logits, _, maps = outputs(images(size_px))
        assert torch.allclose(logits, network(images(size_px)), atol=1e-5)
    assert torch.allclose(maps.mean(dim=(2, 3)), logits, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size_px", "side"),
    [("convnext_atto", 64, 2), ("vit_tiny_patch16_224", 224, 14), ("mobilenetv3_small_050", 96, 3)],
)
def test_other_networks_show_their_head_at_each_place(name: str, size_px: int, side: int) -> None:
    network = create(name, 3, seed=0).eval()
    outputs = ThreeOutputs(network, size_px=size_px)
    with torch.inference_mode():
        logits, features, maps = outputs(images(size_px))
        assert torch.allclose(logits, network(images(size_px)), atol=1e-5)
    assert outputs.method == "placewise"
    assert maps.shape == (2, 3, side, side)
    assert features.shape == (2, network.get_classifier().in_features)
    assert "approximation" in outputs.description


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    network = create("resnet18", 3, seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ThreeOutputs(network, size_px=64)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_every_method_is_told_in_words() -> None:
    assert set(METHODS) == {"average", "hidden", "placewise"}
