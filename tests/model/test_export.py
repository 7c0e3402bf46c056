from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from overread.errors import ModelError
from overread.model import export
from overread.model.backbones import create
from overread.model.export import check_parity, export_onnx
from overread.model.maps import ThreeOutputs
from overread.model.session import open_session


class Smooth(nn.Module):
    """A way to halve maps that ONNX does not know."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(maps, scale_factor=0.5, mode="bicubic", antialias=True)


def images(n: int, size_px: int) -> torch.Tensor:
    return torch.randn(n, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "size_px"),
    [
        ("resnet18", 96),
        ("tf_efficientnet_lite0", 100),
        ("mobilenetv3_small_050", 64),
        ("alexnet", 96),
    ],
)
def test_the_three_outputs_are_torch_s_for_any_number_of_images(tmp_path: Path, name: str, size_px: int) -> None:
    network = create(name, 3, seed=0)
    export_onnx(network, tmp_path / "model.onnx", size_px=size_px)
    session = open_session((tmp_path / "model.onnx").read_bytes(), name="model.onnx")
    assert list(session.gives) == ["logits", "features", "class_maps"]
    for n in (1, 5):
        batch = images(n, size_px)
        found = session.run(list(session.gives), batch.numpy())
        with torch.inference_mode():
            expected = ThreeOutputs(network.eval(), size_px=size_px)(batch)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-3, rtol=1e-3)
    assert check_parity(network, tmp_path / "model.onnx", images(2, size_px)) < 1e-5


def test_an_export_leaves_one_file_and_the_network_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = create("resnet18", 3, seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export_onnx(network, tmp_path / "model.onnx", size_px=64)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert capfd.readouterr() == ("", "")


def test_parity_sees_another_network(tmp_path: Path) -> None:
    export_onnx(create("resnet18", 3, seed=0), tmp_path / "model.onnx", size_px=64)
    assert check_parity(create("resnet18", 3, seed=1), tmp_path / "model.onnx", images(2, 64)) > 1e-4


def test_an_export_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "check_parity", lambda *_: 0.02)
    with pytest.raises(ModelError, match=r"differ from torch's by 0.02 .* not kept"):
        export_onnx(create("resnet18", 3, seed=0), tmp_path / "model.onnx", size_px=64)
    assert list(tmp_path.iterdir()) == []


def test_a_network_too_large_for_one_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LIMIT_BYTES", 1000)
    with pytest.raises(ModelError, match="one ONNX file holds 2 GB"):
        export_onnx(create("resnet18", 3, seed=0), tmp_path / "model.onnx", size_px=64)


def test_what_would_fail_after_training_fails_before(capfd: pytest.CaptureFixture[str]) -> None:
    network = create("vit_tiny_patch16_224", 3, seed=0).train()
    export.check_exportable(network, size_px=224)
    with pytest.raises(ModelError, match="does not take images of 96 x 96 pixels"):
        export.check_exportable(network, size_px=96)
    assert network.training
    unwritable = create("test_resnet", 3, seed=0)
    unwritable.maxpool = Smooth()
    with pytest.raises(ModelError, match="cannot be written as ONNX"):
        export.check_exportable(unwritable, size_px=64)
    assert capfd.readouterr() == ("", "")
