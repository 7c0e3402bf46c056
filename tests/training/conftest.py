"""Workers of one training, as torchrun would start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

TIMEOUT_S = 240


@pytest.fixture(scope="session")
def run_workers() -> Callable[..., list[subprocess.CompletedProcess[str]]]:
    """Run Python so many times at once with the same words, each in the environment that torchrun gives it."""

    def run(size: int, *words: str) -> list[subprocess.CompletedProcess[str]]:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        told = {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size), "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        started = [
            subprocess.Popen(
                [sys.executable, *words],
                env={**os.environ, **told, "MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        try:
            said = [one.communicate(timeout=TIMEOUT_S) for one in started]
        finally:
            for one in started:
                one.kill()
        return [
            subprocess.CompletedProcess(one.args, one.returncode, *both)
            for one, both in zip(started, said, strict=True)
        ]

    return run
