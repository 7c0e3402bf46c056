from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from overread.errors import WeightsError
from overread.model.backbones import create, sketch
from overread.model.checkpoint import fit, read_tensors


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/overread-was-here",)


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.safetensors")
    assert read_tensors(tmp_path / "w.safetensors")["a"].dtype == torch.float32


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_torch_s_formats_are_read(tmp_path: Path, legacy: bool, wrapper: str | None) -> None:
    weights: object = {"a": torch.ones(2)}
    content = weights if wrapper is None else {wrapper: weights, "epoch": 3}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    assert torch.equal(read_tensors(tmp_path / "w.pth")["a"], torch.ones(2))


def test_a_file_that_holds_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="code in it is not run"):
        read_tensors(tmp_path / "w.pth")
    assert not Path("/tmp/overread-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", b"GIF89a" * 9])
def test_a_file_of_neither_format_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="neither safetensors nor torch"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_truncated_file_is_told(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"w.{ending}"
    tensors = {"a": torch.ones(1000)}
    save_file(tensors, path) if ending == "safetensors" else torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no file of weights at"):
        read_tensors(tmp_path / "w.pth")


def test_values_that_are_not_finite_are_told(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="not finite in a"):
        read_tensors(tmp_path / "w.safetensors")


def test_a_file_without_tensors_is_told(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no tensors"):
        read_tensors(tmp_path / "w.pth")


def test_the_last_layer_is_left_out_where_classes_differ() -> None:
    given = create("resnet18", 1000, seed=0).state_dict()
    fitted = fit(given, sketch("resnet18", 3), what="w.pth")
    assert not fitted.has_head
    assert set(given) - set(fitted.tensors) == {"fc.weight", "fc.bias"}


def test_the_last_layer_is_kept_where_classes_agree() -> None:
    assert fit(create("resnet18", 3, seed=0).state_dict(), sketch("resnet18", 3), what="w.pth").has_head


def test_a_file_without_a_last_layer_fits() -> None:
    given = {n: t for n, t in create("resnet18", 3, seed=0).state_dict().items() if not n.startswith("fc.")}
    assert not fit(given, sketch("resnet18", 3), what="w.pth").has_head


def test_names_behind_a_prefix_fit() -> None:
    given = {f"module.{name}": t for name, t in create("resnet18", 3, seed=0).state_dict().items()}
    assert "conv1.weight" in fit(given, sketch("resnet18", 3), what="w.pth").tensors


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("resnet18", "resnet18"),
        ("resnet50", "resnet50"),
        ("alexnet", "alexnet"),
        ("vgg16", "vgg16"),
        ("vgg11_bn", "vgg11_bn"),
        ("densenet121", "densenet121"),
        ("efficientnet_b0", "efficientnet_b0"),
    ],
)
def test_torchvision_s_files_fit_timm_s_networks_by_name_and_shape(published: str, ours: str) -> None:
    with torch.device("meta"):
        given = torchvision.models.get_model(published).state_dict()
    network = sketch(ours)
    fitted = fit(given, network, what="w.pth")
    assert fitted.has_head
    assert set(fitted.tensors) == set(network.state_dict())


@pytest.mark.parametrize(("published", "ours"), [("vgg11", "vgg11"), ("efficientnet_b0", "efficientnet_b0")])
def test_torchvision_s_weights_compute_the_same_under_timm_s_names(published: str, ours: str) -> None:
    with torch.random.fork_rng(devices=[]):
        theirs = torchvision.models.get_model(published).eval()
    network = create(ours, 1000, seed=0).eval()
    network.load_state_dict(fit(theirs.state_dict(), network, what="w.pth").tensors)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(network(images), theirs(images), atol=1e-5)


def test_older_names_of_densenets_fit() -> None:
    network = sketch("densenet121", 3)
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2"): tensor
        for name, tensor in network.state_dict().items()
    }
    assert set(fit(old, network, what="w.pth").tensors) == set(network.state_dict())


def test_weights_of_a_smaller_network_are_refused_with_what_is_missing() -> None:
    with pytest.raises(WeightsError, match=r"are missing \(layer1.2"):
        fit(sketch("resnet18").state_dict(), sketch("resnet34"), what="w.pth")


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"have another shape .* are not the network's"):
        fit(sketch("resnet50").state_dict(), sketch("resnet18"), what="w.pth")


def test_a_larger_network_of_the_same_family_does_not_pass_for_a_smaller_one() -> None:
    with pytest.raises(WeightsError, match=r"are not the network's \(layer1.2"):
        fit(sketch("resnet34").state_dict(), sketch("resnet18"), what="w.pth")


def test_a_wrong_shape_is_told() -> None:
    given = dict(sketch("resnet18").state_dict()) | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    with pytest.raises(WeightsError, match=r"1 have another shape \(conv1.weight: \(64, 1, 7, 7\) where"):
        fit(given, sketch("resnet18"), what="w.pth")
