from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from overread.errors import WeightsError
from overread.model import places
from overread.model.backbones import create
from overread.model.places import PACKAGES, sha256_of
from overread.model.weights import choose_backbone, find_weights, load_weights

CATS = range(281, 286)
"""ImageNet: tabby, tiger cat, Persian, Siamese, Egyptian."""
COFFEE = (504, 967, 968)
"""ImageNet: coffee mug, espresso, cup."""

ON_HUB = f"/timm/resnet18.a1_in1k/resolve/main/{places.FILE}"


def class_of(image: torch.Tensor, backbone: str, spec: str) -> int:
    weights = find_weights(backbone, spec)
    network = create(backbone, 1000, seed=0).eval()
    assert load_weights(network, weights)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (weights.mean, weights.std))
    with torch.inference_mode():
        return int(network((image - mean) / std).argmax())


def test_none_is_random_weights_and_says_so(cut_off: Path) -> None:
    weights = find_weights("resnet18", "none")
    assert weights.path is None
    assert "random" in weights.source
    assert not load_weights(create("resnet18", 3, seed=0), weights)


def test_auto_that_finds_nothing_names_each_place_and_never_falls_back(cut_off: Path) -> None:
    with pytest.raises(WeightsError) as told:
        find_weights("resnet18")
    for words in ("the hub's cache", "torch's cache", "the hub:", "an installed package", "--weights none"):
        assert words in str(told.value)


def test_a_file_is_used_and_hashed(cut_off: Path, resnet18_file: Path) -> None:
    weights = find_weights("resnet18", str(resnet18_file))
    assert weights.path == resnet18_file
    assert weights.sha256 == sha256_of(resnet18_file)
    network = create("resnet18", 3, seed=0)
    fresh = network.fc.weight.clone()
    assert not load_weights(network, weights)
    assert torch.equal(network.conv1.weight, create("resnet18", 1000, seed=7).conv1.weight)
    assert torch.equal(network.fc.weight, fresh)


def test_a_file_that_is_not_there_is_told(cut_off: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file of weights at nowhere\.pth"):
        find_weights("resnet18", "nowhere.pth")


def test_the_hub_is_asked_once_and_its_file_kept(
    cut_off: Path,
    resnet18_file: Path,
    serve: Callable[[dict[str, bytes]], str],
    hub_at: Callable[[str], None],
) -> None:
    hub_at(serve({ON_HUB: resnet18_file.read_bytes()}))
    fetched = find_weights("resnet18")
    assert fetched.source == "the hub (model.safetensors, licence apache-2.0)"
    assert fetched.sha256 == sha256_of(resnet18_file)
    hub_at("http://127.0.0.1:9")
    kept = find_weights("resnet18")
    assert kept.source.startswith("the hub's cache")
    assert kept.sha256 == fetched.sha256


def test_a_hub_that_has_not_got_it_is_told(
    cut_off: Path, serve: Callable[[dict[str, bytes]], str], hub_at: Callable[[str], None]
) -> None:
    hub_at(serve({}))
    with pytest.raises(WeightsError, match=r"the hub: .* answered 404"):
        find_weights("resnet18")


def test_offline_is_respected(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="not asked, because HF_HUB_OFFLINE is set"):
        find_weights("resnet18")


def test_a_hub_that_never_answers_costs_less_than_five_seconds_in_all(
    cut_off: Path, hub_at: Callable[[str], None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub_at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        choice = choose_backbone()
        assert time.monotonic() - began < 5
    assert choice.backbone == "tf_efficientnet_lite0"


def test_torch_s_cache_is_read_and_checked(cut_off: Path, resnet18_file: Path) -> None:
    folder = cut_off / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(create("resnet18", 1000, seed=1).state_dict(), folder / "w.pth")
    wrong = (folder / "w.pth").rename(folder / "resnet18-00000000.pth")
    with pytest.raises(WeightsError, match="torch's cache: no resnet18"):
        find_weights("resnet18")
    right = wrong.rename(folder / f"resnet18-{sha256_of(wrong)[:8]}.pth")
    weights = find_weights("resnet18")
    assert weights.path == right
    assert weights.source.startswith("torch's cache")


def test_torchvision_s_server_fills_torch_s_cache(
    cut_off: Path, serve: Callable[[dict[str, bytes]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cut_off / "alexnet.pth"
    torch.save(create("alexnet", 3, seed=0).state_dict(), path)
    name = f"/alexnet-owt-{sha256_of(path)[:8]}.pth"
    address = serve({name: path.read_bytes()})
    known = places.pretraining("alexnet")
    moved = type(known)(**{**known.__dict__, "url": address + name})
    monkeypatch.setattr(places, "pretraining", lambda _: moved)
    assert find_weights("alexnet").source.startswith("the hub ")
    assert find_weights("alexnet").source.startswith("torch's cache")


def test_auto_is_resnet18_where_its_weights_can_be_had(
    cut_off: Path,
    resnet18_file: Path,
    serve: Callable[[dict[str, bytes]], str],
    hub_at: Callable[[str], None],
) -> None:
    hub_at(serve({ON_HUB: resnet18_file.read_bytes()}))
    choice = choose_backbone()
    assert choice.backbone == "resnet18"
    assert choice.why.startswith("resnet18, with weights from the hub")


def test_auto_is_efficientnet_lite_otherwise_and_says_why(cut_off: Path) -> None:
    choice = choose_backbone()
    assert choice.backbone == "tf_efficientnet_lite0"
    assert choice.weights.source.startswith("an installed package")
    assert "because those of resnet18 cannot be had here" in choice.why


def test_auto_without_any_weights_tells_of_both_networks(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "tf_efficientnet_lite0", "no-such-package")
    with pytest.raises(WeightsError, match=r"for resnet18 .*for tf_efficientnet_lite0 .* is not installed"):
        choose_backbone()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_auto_with_a_file_is_the_network_that_the_file_fits(cut_off: Path, backbone: str) -> None:
    path = cut_off / "mine.safetensors"
    save_file(create(backbone, 7, seed=0).state_dict(), path)
    choice = choose_backbone("auto", str(path))
    assert choice.backbone == backbone
    assert choice.why == f"{backbone}, because mine.safetensors holds its weights."


def test_auto_with_a_file_of_an_unusual_network_asks_for_its_name(cut_off: Path) -> None:
    save_file(create("mobilenetv3_small_050", 7, seed=0).state_dict(), cut_off / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"fits none of resnet18.*--backbone"):
        choose_backbone("auto", str(cut_off / "mine.safetensors"))


def test_auto_with_random_weights_is_resnet18(cut_off: Path) -> None:
    choice = choose_backbone("auto", "none")
    assert choice.backbone == "resnet18"
    assert "random" in choice.why


def test_a_file_under_another_name_fits_efficientnet_lite(cut_off: Path) -> None:
    installed = find_weights("tf_efficientnet_lite0").path
    assert installed is not None
    mine = Path(shutil.copy(installed, cut_off / "mine.pth"))
    assert choose_backbone("auto", str(mine)).backbone == "tf_efficientnet_lite0"


def test_the_package_s_weights_name_the_cat_and_the_coffee(
    cut_off: Path, cat: torch.Tensor, coffee: torch.Tensor
) -> None:
    assert class_of(cat, "tf_efficientnet_lite0", "auto") in CATS
    assert class_of(coffee, "tf_efficientnet_lite0", "auto") in COFFEE


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_real_resnets_name_the_cat_and_the_coffee(
    cut_off: Path, shared: Path, backbone: str, cat: torch.Tensor, coffee: torch.Tensor
) -> None:
    file = str(shared / "weights" / f"{backbone}-imagenet-pq.safetensors")
    assert choose_backbone("auto", file).backbone == backbone
    assert class_of(cat, backbone, file) in CATS
    assert class_of(coffee, backbone, file) in COFFEE


def test_a_folder_gives_the_file_named_after_the_network(tmp_path: Path) -> None:
    for name in ("resnet18-f37072fd.pth", "resnet50.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"weights")
    found = find_weights("resnet50", str(tmp_path))
    assert found.path == tmp_path / "resnet50.safetensors"
    with pytest.raises(WeightsError, match=r"named after vgg16.*found resnet18-f37072fd\.pth, resnet50\.safetensors"):
        find_weights("vgg16", str(tmp_path))
