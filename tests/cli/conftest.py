"""The command line as a person uses it, and a run that it has made."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from overread.cli.main import run

TINY = [
    "--backbone", "test_resnet", "--weights", "none", "--epochs", "1", "--batch-size", "8", "--size-px", "32",
    "--device", "cpu", "--workers", "0", "--val-fraction", "0.34", "--test-fraction", "0.34",
]  # fmt: skip
BY_PATIENT = ["--patient-regex", r"/(\w\d)-"]

Overread = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Trained:
    """A finished `overread train`: its images, its folder, and all that it printed."""

    source: Path
    folder: Path
    printed: str


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Flags of a training of two seconds."""
    return TINY


@pytest.fixture(scope="session")
def trained(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two epochs, by patient. Its folder is read by many tests: none may change it."""
    out = tmp_path_factory.mktemp("cli") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run(["train", str(cohort_folder), *TINY, *BY_PATIENT, "--epochs", "2", "--out", str(out)])
    assert code == 0, printed.getvalue()
    return Trained(source=cohort_folder, folder=out, printed=printed.getvalue())


@pytest.fixture
def overread() -> Overread:
    """Run `overread` as a process of its own, without a terminal."""

    def start(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        return subprocess.run(
            [sys.executable, "-m", "overread", *map(str, words)],
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False, env={**known, **environment},
        )  # fmt: skip

    return start


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command line that must be refused with exit code 2, and give what it says: one line."""

    def refused(*words: str | Path) -> str:
        capsys.readouterr()
        try:
            code = run([*map(str, words)])
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr().err
        assert code == 2, said
        assert said.startswith("overread: ")
        assert said.count("\n") == 1, said
        return said

    return refused
