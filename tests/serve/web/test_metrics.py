from __future__ import annotations

import asyncio
from typing import Any

import pytest

from overread.serve.web.metrics import Metrics, Told


def test_a_request_that_the_stop_ended_is_no_fault() -> None:
    async def ended(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async def nothing(*_: Any) -> Any:
        return None

    metrics = Metrics()
    told = Told(ended, metrics=metrics)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(told({"type": "http", "method": "POST"}, nothing, nothing))
    (counted,) = [one for one in metrics.requests.collect()[0].samples if one.name.endswith("_total")]
    assert counted.labels["status"] == "503"
