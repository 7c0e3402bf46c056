"""The OpenAPI document, held against what the service does: requests are made up from it, good ones and bad ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import (
    CacheConfig,
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.web.app import make_app

_EXAMPLES = 5


@pytest.fixture(scope="module")
def address(model_folder: Path, slices: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service behind a real server on loopback, with two studies in its store."""
    service = Service(open_store(tmp_path_factory.mktemp("described") / "store"), ServedModel(model_folder))
    server = uvicorn.Server(uvicorn.Config(make_app(service, per_s=1e9), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    found = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    files = [("files", (path.name, path.read_bytes())) for path in slices[:8]]
    httpx.post(f"{found}/api/v1/images?wait=60", files=files, timeout=90, trust_env=False).raise_for_status()
    yield found
    server.should_exit = True
    thread.join(timeout=30)


@pytest.fixture(scope="module")
def known(address: str) -> dict[str, Any]:
    """For each name in a path, one that is there."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        uid = client.get("/api/v1/studies").json()["studies"][0]["uid"]
        study = client.get(f"/api/v1/studies/{uid}").json()
    series = study["series"][0]
    image = series["images"][0]["uid"]
    return {"study": uid, "series": series["uid"], "instance": image, "frame": 0, "uid": image}


@pytest.fixture(scope="module")
def described(address: str) -> Any:
    generation = GenerationConfig(deterministic=True, database="none", max_examples=_EXAMPLES)
    project = ProjectConfig(generation=generation)
    config = SchemathesisConfig(seed=1, cache=CacheConfig(enabled=False), projects=ProjectsConfig(default=project))
    return schemathesis.openapi.from_url(f"{address}/openapi.json", config=config)


@schemathesis.serializer("multipart/related")
def _related(context: Any, value: Any) -> dict[str, Any]:
    """What is made up as one part of a body; its boundary stands where OpenAPI has no words for it."""
    part = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n--x--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    return {"data": body, "headers": {"Content-Type": kind}}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_what_is_described_is_what_is_done(described: Any, known: dict[str, Any], mode: GenerationMode) -> None:
    faults: list[str] = []
    for found in described.get_all_operations():
        operation = found.ok()

        @seed(1)
        @settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            # a label that the model does not know, and a part that is no DICOM, are refused with good reason
            case.call_and_validate(excluded_checks=[positive_data_acceptance] if case.method == "POST" else [])
            if case.path_parameters:
                case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
                # what was bad about the request may have been the path
                case.call_and_validate(excluded_checks=[negative_data_rejection, positive_data_acceptance])

        try:
            ask()
        except Unsatisfiable:  # a request without parameters cannot be made a bad one
            continue
        except (Exception, BaseExceptionGroup) as fault:
            faults.append(f"{operation.label}: {fault}")
    assert not faults, "\n\n".join(faults)
