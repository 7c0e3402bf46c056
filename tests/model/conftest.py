"""A hub on loopback, and a machine whose caches are empty and whose hub is cut off."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from overread.model.backbones import create

CLOSED = "http://127.0.0.1:9"
"""An address where nothing listens."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with empty caches and no way out; returns the folder of its caches."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    point_hub_at(CLOSED, monkeypatch)
    return tmp_path


@pytest.fixture
def hub_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Do what HF_ENDPOINT does when it is set before the start."""
    return lambda address: point_hub_at(address, monkeypatch)


def point_hub_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Start a server of files on loopback that speaks the hub's protocol, and return its address."""
    with ExitStack() as stack:
        yield lambda files: stack.enter_context(_serving(files))


@pytest.fixture(scope="session")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a ResNet-18 for 1000 classes."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(create("resnet18", 1000, seed=7).state_dict(), path)
    return path


@contextmanager
def _serving(files: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            data = files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            part = self.headers.get("Range") == "bytes=0-0"
            self.send_response(206 if part else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Content-Length", "1" if part else str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data[:1] if part else data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cat() -> torch.Tensor:
    """scikit-image's cat, (1, 3, 224, 224) float32 in 0 to 1."""
    return _picture("chelsea")


@pytest.fixture
def coffee() -> torch.Tensor:
    """scikit-image's cup of coffee, (1, 3, 224, 224) float32 in 0 to 1."""
    return _picture("coffee")


def _picture(name: str) -> torch.Tensor:
    import numpy as np
    import skimage.data
    from PIL import Image

    image = Image.fromarray(getattr(skimage.data, name)())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[None].float() / 255
