from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Trained
from tests.serve.orthanc import free_port

from overread.cli.main import run


@pytest.mark.parametrize("per_s", ["0", "-5", "nan", "inf"])
def test_a_pace_at_which_nobody_could_ask_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], per_s: str
) -> None:
    assert run(["serve", "no-model", "--store", str(tmp_path / "store"), f"--requests-per-s={per_s}"]) == 2
    assert f"--requests-per-s {per_s} is out of range" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def _ask_once(model: Path, store: Path) -> tuple[str, int]:
    """What a service says when it starts, and what it answers to who shows no token."""
    port = free_port()
    words = [sys.executable, "-m", "overread", "serve", str(model), "--store", str(store), "--port", str(port)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                status = httpx.get(f"http://127.0.0.1:{port}/api/v1/me", trust_env=False).status_code
                break
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    return said, status


def test_a_service_whose_last_token_was_ended_stays_shut(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    for words in (["add", "boss", "--role", "admin"], ["add", "lee"], ["end", "boss"], ["end", "lee"]):
        assert run(["token", *words, "--store", str(store)]) == 0
    said, status = _ask_once(trained.folder, store)
    assert ("to whoever has a token" in said, status) == (True, 401)
    assert "! Every token was ended, so that nobody can come in. Make one: overread token add NAME" in said
    capsys.readouterr()
    assert run(["token", "add", "chen", "--store", str(store)]) == 0
    assert "asks nobody" not in capsys.readouterr().err
    said, status = _ask_once(trained.folder, store)
    assert ("token add" in said, status) == (False, 401)
