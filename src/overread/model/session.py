"""The exported network, opened by an engine: onnxruntime or OpenVINO, both without their telemetry."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from overread.errors import ModelError, SettingsError

ENGINES = ("onnxruntime", "openvino")
NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
"""onnxruntime's own switches, of one version and another. From 1.29 on its wheels keep a device identifier in
the home folder and report use to their maker, from the moment of import, unless one of these is set before."""

Shapes = Mapping[str, tuple[int, ...]]


class Session(Protocol):
    """A network, ready to run on the CPU."""

    @property
    def takes(self) -> Shapes:
        """The shape of one image, (3, size, size), by the name of the input."""

    @property
    def gives(self) -> Shapes:
        """The shape of each output for one image, by its name; a side that is not fixed is 0."""

    def run(self, names: Sequence[str], images: NDArray[np.float32]) -> list[NDArray[Any]]:
        """The named outputs, in that order, for images (n, 3, size, size) float32, normalised."""


def open_session(network: bytes, *, name: str, engine: str = ENGINES[0], threads: int = 0) -> Session:
    """An ONNX file's bytes, ready to run on the CPU; `name` is for the error.

    threads: how many cores one pass may take; 0 is all. Several threads may make passes at once. Bytes and not a
    path: what was verified is what is run. Raises ModelError where it is no network, SettingsError for an engine that
    is not there.
    """
    if engine not in ENGINES:
        raise SettingsError(f"--engine {engine} is not known; there are {' and '.join(ENGINES)}.")
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        raise SettingsError(
            "--engine openvino: OpenVINO is not installed. Run pip install openvino, or leave it out."
        )
    try:
        return _OpenVino(network, threads) if engine == "openvino" else _OnnxRuntime(network, threads)
    except Exception as fault:  # the engines' own exceptions share no public root
        raise ModelError(f"{name} cannot be loaded by {engine}: {fault}") from fault


def keep_quiet() -> None:
    """Turn onnxruntime's telemetry off; to be called before its import."""
    for switch in NO_TELEMETRY:
        os.environ.setdefault(switch, "1")


class _OnnxRuntime:
    def __init__(self, network: bytes, threads: int) -> None:
        keep_quiet()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: warnings are the exporter's business
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self.takes, self.gives = (
            {port.name: tuple(side if isinstance(side, int) else 0 for side in port.shape[1:]) for port in ports}
            for ports in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, names: Sequence[str], images: NDArray[np.float32]) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = self._session.run(list(names), {"image": images})
        return found


class _OpenVino:
    """OpenVINO at full precision: on processors that have bfloat16 it would take that by itself."""

    def __init__(self, network: bytes, threads: int) -> None:
        # its import alone would keep an identifier in the home folder and report to its maker; without this module of
        # its own it does neither
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        core = openvino.Core()
        model = core.read_model(network, b"")
        self.takes, self.gives = (
            {
                port.any_name: tuple(d.get_length() if d.is_static else 0 for d in port.partial_shape)[1:]
                for port in ports
            }
            for ports in (model.inputs, model.outputs)
        )
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": n_cores()}
        config["NUM_STREAMS"] = max(1, n_cores() // threads) if threads else 1
        self._compiled = core.compile_model(model, "CPU", config)
        self._requests = threading.local()

    def run(self, names: Sequence[str], images: NDArray[np.float32]) -> list[NDArray[Any]]:
        if not hasattr(self._requests, "own"):  # one request makes one pass at a time
            self._requests.own = self._compiled.create_infer_request()
        found = self._requests.own.infer({"image": images}, share_inputs=True)
        return [np.array(found[name]) for name in names]


def n_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
