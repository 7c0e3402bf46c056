from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from overread.serve.logs import ACCESS
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
    (counted,) = _counted(metrics)
    assert counted.labels["status"] == "503"


def test_invented_methods_are_one_count(caplog: pytest.LogCaptureFixture) -> None:
    """Each other one would stay in memory for good, and may be said before any token is shown."""

    async def refused(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401})

    async def nothing(*_: Any) -> Any:
        return None

    metrics = Metrics()
    told = Told(refused, metrics=metrics)
    caplog.set_level(logging.INFO, logger=ACCESS.name)
    for method in ("GET", "PUT", "GET", *(f"X{number}" for number in range(100)), "get"):
        asyncio.run(told({"type": "http", "method": method}, nothing, nothing))
    counts = {one.labels["method"]: one.value for one in _counted(metrics)}
    assert counts == {"GET": 2, "PUT": 1, "other": 101}
    assert {record.facts["method"] for record in caplog.records} == set(counts)  # type: ignore[attr-defined]


def _counted(metrics: Metrics) -> list[Any]:
    return [one for one in metrics.requests.collect()[0].samples if one.name.endswith("_total")]
