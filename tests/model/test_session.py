from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError, SettingsError
from overread.model.backbones import create
from overread.model.export import export_onnx
from overread.model.session import ENGINES, open_session


def there(engine: str) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    export_onnx(create("test_resnet", 3, seed=0), path, size_px=64)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_bytes_that_are_no_network_are_a_clear_error(engine: str) -> None:
    there(engine)
    with pytest.raises(ModelError, match=rf"model\.onnx cannot be loaded by {engine}"):
        open_session(b"not a network", name="model.onnx", engine=engine)


def test_an_engine_that_is_not_known_or_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"--engine tensorrt is not known; there are onnxruntime and openvino\."):
        open_session(b"", name="model.onnx", engine="tensorrt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install openvino"):
        open_session(b"", name="model.onnx", engine="openvino")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("threads", [0, 1])
def test_every_engine_gives_the_same_for_any_number_of_images(network: Path, engine: str, threads: int) -> None:
    there(engine)
    first = open_session(network.read_bytes(), name="model.onnx")
    session = open_session(network.read_bytes(), name="model.onnx", engine=engine, threads=threads)
    assert session.takes == {"image": (3, 64, 64)}
    assert list(session.gives) == ["logits", "features", "class_maps"]
    assert session.gives["logits"] == (3,)
    for n in (1, 5, 2):
        images = np.random.default_rng(n).normal(size=(n, 3, 64, 64)).astype(np.float32)
        for found, expected in zip(
            session.run(["class_maps", "logits"], images), first.run(["class_maps", "logits"], images), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_calls_nobody_and_leaves_nothing_at_home(network: Path, tmp_path: Path) -> None:
    there("openvino")
    words = f"""
import socket, sys
def listen(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        sys.exit("a call: " + str(args))
sys.addaudithook(listen)
import numpy
from overread.model.session import open_session
session = open_session(open({str(network)!r}, "rb").read(), name="model.onnx", engine="openvino")
session.run(["logits"], numpy.zeros((1, 3, 64, 64), numpy.float32))
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", words], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
