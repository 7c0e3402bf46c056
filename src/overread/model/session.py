"""The exported network, opened by onnxruntime: the one place that imports it, with its telemetry off."""

from __future__ import annotations

import os
from typing import Any

from overread.errors import ModelError

NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
"""onnxruntime's own switches, of one version and another. From 1.29 on its wheels keep a device identifier in
the home folder and report use to their maker, from the moment of import, unless one of these is set before."""


def open_session(network: bytes, *, name: str) -> Any:
    """An onnxruntime session of an ONNX file's bytes, on the CPU; `name` is for the error.

    Bytes and not a path: what was verified is what is run. Raises ModelError where it is no network.
    """
    for switch in NO_TELEMETRY:
        os.environ.setdefault(switch, "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: warnings are the exporter's business
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime's own exceptions share no public root
        raise ModelError(f"{name} cannot be loaded by onnxruntime: {fault}") from fault
