from __future__ import annotations

import pytest
from torch import nn

from overread.model.backbones import sketch
from overread.model.stages import hidden_layers, stages_of

NAMES = [
    "resnet18",
    "alexnet",
    "vgg16",
    "vgg11_bn",
    "tf_efficientnet_lite0",
    "densenet121",
    "mobilenetv3_small_100",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "pit_ti_224",
    "levit_128s",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_in_exactly_one_stage(name: str) -> None:
    network = sketch(name, 3)
    staged = [id(p) for _, modules in stages_of(network) for module in modules for p in module.parameters()]
    assert len(staged) == len(set(staged))
    assert set(staged) == {id(p) for p in network.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_last_and_holds_the_new_layer_alone(name: str) -> None:
    stages = stages_of(sketch(name, 3))
    assert stages[-1][0] == "head"
    assert all(isinstance(m, nn.Linear | nn.Module) for m in stages[-1][1])
    n_wide = sum(p.numel() for module in stages[-1][1] for p in module.parameters())
    assert n_wide < 3 * 5000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", "stem layer1 layer2 layer3 layer4 head"),
        ("alexnet", "block1 block2 block3 hidden head"),
        ("vgg16", "block1 block2 block3 block4 block5 hidden head"),
        ("convnext_atto", "stem stages.0 stages.1 stages.2 stages.3 head"),
    ],
)
def test_stages_run_from_the_input_to_the_head(name: str, expected: str) -> None:
    assert [stage for stage, _ in stages_of(sketch(name, 3))] == expected.split()


def test_batch_normalisation_is_in_the_stage_of_its_convolution() -> None:
    network = sketch("resnet18", 3)
    assert stages_of(network)[0] == ("stem", (network.conv1, network.bn1))


def test_tokens_that_belong_to_no_layer_can_be_frozen_too() -> None:
    network = sketch("vit_tiny_patch16_224", 3)
    for module in stages_of(network)[0][1]:
        module.requires_grad_(False)
    assert not network.cls_token.requires_grad
    assert not network.pos_embed.requires_grad


def test_only_alexnet_and_vggs_have_hidden_layers() -> None:
    assert hidden_layers(sketch("alexnet", 3)) is not None
    assert hidden_layers(sketch("vgg16", 3)) is not None
    assert hidden_layers(sketch("resnet18", 3)) is None
