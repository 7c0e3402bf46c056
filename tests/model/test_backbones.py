from __future__ import annotations

import pytest
import torch

from overread.errors import ModelError
from overread.model.backbones import create, describe, list_backbones, pretraining, sketch


def test_the_same_seed_makes_the_same_network_and_another_seed_another_one() -> None:
    one, same, other = (create("resnet18", 3, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(one["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_making_a_network_leaves_torch_s_own_generator_untouched(name: str) -> None:
    before = torch.random.get_rng_state()
    create(name, 3, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "mobilenetv3_small_050", "resnet18.tv_in1k"])
def test_every_network_returns_a_logit_a_class(name: str) -> None:
    network = create(name, 5, seed=0).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 96, 96)).shape == (2, 5)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "efficientnet_b0", "vit_tiny_patch16_224"])
def test_no_network_starts_out_certain(name: str) -> None:
    network = create(name, 3, seed=0)
    head = network.get_classifier()
    assert head.weight.std() <= head.in_features**-0.5
    again = create(name, 3, seed=0).get_classifier()
    assert torch.equal(head.weight, again.weight)
    assert not torch.equal(head.weight, create(name, 3, seed=1).get_classifier().weight)


def test_an_unknown_name_gets_close_ones() -> None:
    with pytest.raises(ModelError, match=r"resnet19 is not .* Did you mean resnet18"):
        create("resnet19", 3, seed=0)
    with pytest.raises(ModelError, match=r"AlexNet is not .* alexnet"):
        describe("AlexNet")
    with pytest.raises(ModelError, match="Try resnet18"):
        sketch("?!", 3)


def test_an_unknown_tag_gets_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"resnet18 has no such pretraining. Known: .*resnet18.tv_in1k"):
        create("resnet18.mine", 3, seed=0)


def test_a_head_that_is_not_one_linear_layer_is_refused() -> None:
    with pytest.raises(ModelError, match="ends in NormLinear, not in one linear layer"):
        create("levit_128s", 3, seed=0)


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="of 0 classes"):
        create("resnet18", 0, seed=0)


def test_what_is_known_of_a_network_by_its_name() -> None:
    known = describe("resnet50")
    assert known.n_features == 2048
    assert known.stages == ("stem", "layer1", "layer2", "layer3", "layer4", "head")
    assert known.mean == (0.485, 0.456, 0.406)
    assert known.std == (0.229, 0.224, 0.225)


def test_efficientnet_lite_wants_another_normalisation() -> None:
    assert pretraining("tf_efficientnet_lite0").mean == (0.5, 0.5, 0.5)


def test_the_networks_of_the_paper_are_all_there() -> None:
    assert {"alexnet", "vgg16", "resnet18", "resnet50", "tf_efficientnet_lite0"} <= set(list_backbones())


def test_a_sketch_has_shapes_and_no_values() -> None:
    assert sketch("vgg16").head.fc.weight.is_meta
