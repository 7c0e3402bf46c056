from __future__ import annotations

import pytest

from overread.errors import ModelError
from overread.model.session import open_session


def test_bytes_that_are_no_network_are_a_clear_error() -> None:
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded by onnxruntime"):
        open_session(b"not a network", name="model.onnx")
