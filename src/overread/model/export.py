"""A network as one ONNX file, checked against the network that it was made from."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import inspect
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]

from overread.disk import replacing
from overread.errors import ModelError
from overread.model.maps import ThreeOutputs
from overread.model.session import open_session

OUTPUTS = ("logits", "features", "class_maps")
TOLERANCE = 1e-4
"""Largest difference in probability between ONNX and torch that an export may have."""

OPSET = 17
LIMIT_BYTES = 2_000_000_000
"""One ONNX file cannot be larger: protocol buffers end at 2 GiB."""


def export_onnx(network: nn.Module, path: str | Path, *, size_px: int) -> None:
    """Write a network to one ONNX file, weights included, and check that it computes the same.

    Input `image`: (n, 3, size_px, size_px) float32, normalised, any n. Outputs: `logits` (n, k), `features`
    (n, d), `class_maps` (n, k, h, w); see `ThreeOutputs`. ModelError where the network cannot be exported, or
    its probabilities differ from torch's by more than 1e-4; then nothing is written.
    """
    path = Path(path)
    n_bytes = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    if n_bytes > LIMIT_BYTES:
        raise ModelError(f"The network takes {n_bytes / 1e9:.1f} GB; one ONNX file holds 2 GB. Choose a smaller one.")
    kept = _kept(network)
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(3, 3, size_px, size_px, generator=generator)
    with replacing(path) as temporary:
        _write(ThreeOutputs(kept, size_px=size_px).eval(), temporary, batch[:2])
        difference = check_parity(kept, temporary, batch)
        if difference > TOLERANCE:
            raise ModelError(
                f"{path.name} gives probabilities that differ from torch's by {difference:.2g} (at most "
                f"{TOLERANCE:g} is allowed), so it was not kept. Choose another --backbone."
            )


def check_exportable(network: nn.Module, *, size_px: int) -> None:
    """Try the export of a network that is still to be trained, so that no run fails at its end; nothing is kept.

    ModelError where the network takes no images of this size, or cannot be written as ONNX.
    """
    outputs = ThreeOutputs(_kept(network), size_px=size_px).eval()
    with tempfile.TemporaryDirectory() as folder:
        _write(outputs, Path(folder) / "trial.onnx", torch.zeros(2, 3, size_px, size_px))


def check_parity(network: nn.Module, path: str | Path, batch: Tensor) -> float:
    """Return the largest absolute difference in probability between onnxruntime and torch over a batch.

    batch: (n, 3, h, w) float32, normalised. The network is in evaluation mode while it runs.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        ours = network(batch.to(device)).double().softmax(dim=1).cpu().numpy()
    network.train(was_training)
    session = open_session(Path(path).read_bytes(), name=Path(path).name)
    logits: NDArray[np.float32] = session.run(["logits"], batch.cpu().numpy())[0]
    theirs = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    return float(np.abs(ours - theirs).max())


def _kept(network: nn.Module) -> nn.Module:
    """A copy that predicts, on the CPU: the network itself stays where and as it is."""
    return copy.deepcopy(network).cpu().eval()


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep torch's own code, below Python, from printing the whole graph of a network that it cannot write."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        if os.name != "nt":
            ctypes.CDLL(None).fflush(None)  # what C still holds would come out after all
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _write(network: ThreeOutputs, path: Path, batch: Tensor) -> None:
    """Trace the network with torch's exporter that needs no other package.

    The newer one (`dynamo=True`) needs onnxscript and takes many times as long for the same file.
    """
    chosen: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        chosen["dynamo"] = False
    with warnings.catch_warnings(), torch.no_grad(), _muted():
        warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", message="The feature will be removed", category=DeprecationWarning)
        # The sides of the image are fixed on purpose, and the parity check sees whatever went wrong with it.
        warnings.filterwarnings("ignore", category=TracerWarning)
        try:
            torch.onnx.export(
                network,
                (batch,),
                str(path),
                input_names=["image"],
                output_names=list(OUTPUTS),
                dynamic_axes={name: {0: "n"} for name in ("image", *OUTPUTS)},
                opset_version=OPSET,
                **chosen,
            )
        except (RuntimeError, torch.onnx.OnnxExporterError, TypeError) as error:
            raise ModelError(
                f"{type(network.network).__name__} cannot be written as ONNX "
                f"({str(error).strip().splitlines()[0]}). Choose another --backbone."
            ) from error
