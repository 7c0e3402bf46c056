from __future__ import annotations

import pytest

from overread.errors import ModelError
from overread.model.backbones import create, sketch
from overread.model.table import layer_table


def test_resnet18_of_imagenet_has_the_counts_that_follow_from_its_definition() -> None:
    table = layer_table("resnet18")
    counts = {layer.name: layer.parameters for layer in table.layers}
    assert counts["conv1"] == 7 * 7 * 3 * 64 == 9_408
    assert counts["fc"] == 512 * 1000 + 1000 == 513_000
    assert counts["layer1.0"] == 2 * (3 * 3 * 64 * 64) + 4 * 64
    assert table.parameters == sum(counts.values()) == 11_689_512


def test_three_classes_take_a_small_last_layer() -> None:
    table = layer_table("resnet18", 3)
    assert table.layers[-1].parameters == 1_539
    assert table.parameters == sum(p.numel() for p in create("resnet18", 3, seed=0).parameters())


def test_resnet18_has_the_rows_of_a_paper() -> None:
    rows = {layer.name: layer for layer in layer_table("resnet18").layers}
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert list(rows) == ["conv1", "bn1", "maxpool", *blocks, "global_pool", "fc"]
    assert rows["conv1"].output_shape == (64, 112, 112)
    assert rows["conv1"].description == "7 x 7 convolution, 64 filters, stride 2"
    assert rows["maxpool"].description == "3 x 3 max pooling, stride 2"
    assert rows["layer2.0"].output_shape == (128, 28, 28)
    assert rows["layer2.0"].description == (
        "residual block: two 3 x 3 convolutions, 128 filters, stride 2, 1 x 1 shortcut"
    )
    assert rows["global_pool"].description == "average over the map"
    assert rows["fc"].output_shape == (1000,)
    assert rows["fc"].description == "fully connected, 512 to 1000"


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "vgg16",
        "resnet50",
        "tf_efficientnet_lite0",
        "densenet121",
        "mobilenetv3_small_100",
        "vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "levit_128s",
        "dla60",
    ],
)
def test_the_rows_of_any_network_add_up_to_it(name: str) -> None:
    table = layer_table(name)
    assert sum(layer.parameters for layer in table.layers) == table.parameters
    assert table.parameters == sum(p.numel() for p in sketch(name).parameters())
    assert all(layer.description for layer in table.layers)


def test_published_totals() -> None:
    assert layer_table("alexnet").parameters == 61_100_840
    assert layer_table("vgg16").parameters == 138_357_544
    assert layer_table("resnet50").parameters == 25_557_032


def test_shapes_follow_the_size_of_the_image() -> None:
    assert layer_table("resnet18", size_px=512).layers[0].output_shape == (64, 256, 256)


@pytest.mark.parametrize("name", ["alexnet", "vit_tiny_patch16_224"])
def test_a_size_that_the_network_cannot_take_is_told(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} cannot take images of 32 x 32"):
        layer_table(name, size_px=32)
