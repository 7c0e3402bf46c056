"""An exported network in 8-bit integers: smaller, and faster on processors that have instructions for them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.errors import ModelError
from overread.model.session import keep_quiet

KEPT = ("logits", "class_maps")
"""made by the last layer, which stays in float32: it costs nothing, and what a person sees comes out of it"""


def quantize(network: bytes, batches: Iterable[NDArray[np.float32]], *, name: str) -> bytes:
    """Return the network, an ONNX file's bytes, with its layers in int8, weights by channel.

    Static quantisation (Jacob et al. 2018, arXiv:1712.05877): the range of every activation is the one that it has
    over `batches`, images (n, 3, size, size) float32, normalised. The last layer stays in float32. `name` is for the
    error. Raises ModelError where the network cannot be quantised.
    """
    keep_quiet()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[NDArray[np.float32]] = iter(batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            images = next(self._left, None)
            return None if images is None else {"image": images}

    with tempfile.TemporaryDirectory(prefix="overread-") as folder, _muted():
        plain, ready, done = (Path(folder) / f"{step}.onnx" for step in ("plain", "ready", "done"))
        plain.write_bytes(network)
        try:
            quant_pre_process(plain, ready, skip_symbolic_shape=True)
            quantize_static(
                ready,
                done,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_last_layers(onnx.load(ready)),
            )
        except Exception as fault:  # onnx's and onnxruntime's exceptions share no public root
            raise ModelError(f"{name} cannot be computed in 8 bits: {fault}") from fault
        return done.read_bytes()


def _last_layers(network: Any) -> list[str]:
    return [node.name for node in network.graph.node if set(node.output) & set(KEPT)]


@contextmanager
def _muted() -> Iterator[None]:
    """Keep the quantiser from telling, on the root logger, of what has been done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
