from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from overread.errors import ModelError
from overread.model.backbones import create
from overread.model.export import export_onnx
from overread.model.quantize import quantize
from overread.model.session import open_session


def images(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_the_network_is_smaller_and_says_nearly_the_same(
    backbone: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export_onnx(create(backbone, 3, seed=0), tmp_path / "model.onnx", size_px=64)
    plain = (tmp_path / "model.onnx").read_bytes()
    with caplog.at_level(logging.DEBUG):
        small = quantize(plain, [images(16, 1), images(16, 2)], name="model.onnx")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not logging.root.manager.disable
    assert len(small) < 0.6 * len(plain)
    before, after = (open_session(network, name="model.onnx") for network in (plain, small))
    assert dict(after.takes) == dict(before.takes)
    assert list(after.gives) == ["logits", "features", "class_maps"]
    for n in (1, 5):
        for name, atol in (("logits", 0.15), ("features", 0.3), ("class_maps", 0.3)):
            one, other = (session.run([name], images(n, 3))[0] for session in (before, after))
            assert one.shape == other.shape
            assert not np.array_equal(one, other)
            assert np.abs(one - other).max() < atol * max(1, np.abs(one).max()), name


def test_the_last_layer_stays_as_it_was(tmp_path: Path) -> None:
    export_onnx(create("test_resnet", 3, seed=0), tmp_path / "model.onnx", size_px=64)
    small = onnx.load_from_string(quantize((tmp_path / "model.onnx").read_bytes(), [images(8, 1)], name="model.onnx"))
    made_by = {output: node for node in small.graph.node for output in node.output}
    for name in ("logits", "class_maps"):
        assert made_by[name].op_type in ("Gemm", "Conv")
        assert made_by[name].input[1] in {weight.name for weight in small.graph.initializer}, "a float weight"
    assert sum(node.op_type == "DequantizeLinear" for node in small.graph.node) > 10


def test_bytes_that_are_no_network_are_an_error_in_words() -> None:
    with pytest.raises(ModelError, match=r"model\.onnx cannot be computed in 8 bits"):
        quantize(b"nothing", [images(1, 0)], name="model.onnx")
