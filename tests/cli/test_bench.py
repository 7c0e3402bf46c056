from __future__ import annotations

import json
import subprocess
import sys

import pytest

from overread.cli.main import run
from overread.run import bench as measuring
from overread.run.bench import Bench
from overread.run.bench_rows import BenchSettings, Row

FOUND = Bench(
    machine={"system": "Linux", "processor": "A [processor]", "cores": 2, "memory_gb": 8.0, "gpu": None},
    versions={"python": "3.11.7", "overread": "0.1.0", "numpy": "2.4.6", "onnxruntime": "1.32.0"},
    settings=BenchSettings(),
    limits=(Row(what="matrix product, float32", unit="GFLOP/s", value=91.4, low=74.3, high=91.4, do="Close it."),),
    work=(
        Row(what="reading, one core", unit="images/s", value=216, low=145, high=242, limit=507, of="x", do="Do it."),
        Row(what="predicting, network alone", unit="images/s", value=16.5, low=15.9, high=17.4, do="Do that."),
    ),
    remarks=("Left out: training. It takes PyTorch, which is not installed: pip install 'overread[train]'.",),
    seconds=61.2,
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What was asked of the measuring, which is not done."""
    found: list[dict[str, object]] = []

    def pretend(settings: BenchSettings, **given: object) -> Bench:
        found.append({"settings": settings, **given})
        return FOUND

    monkeypatch.setattr(measuring, "bench", pretend)
    return found


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(
    columns: int, asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(["bench"]) == 0
    printed = capsys.readouterr().out
    lines = [line.rstrip() for line in printed.splitlines()]
    assert max(map(len, lines)) <= columns
    assert "A [processor], 2 cores, 8 GB, no GPU" in printed
    assert "…" not in printed
    reading = next(line for line in lines if line.strip().startswith("reading, one core") and "%" in line)
    assert reading.split()[3:] == ["216", "145", "to", "242", "507", "43%"]
    assert "pip install 'overread[train]'" in " ".join(printed.split())


def test_json_is_all_that_is_printed(asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--json", "--seconds", "0.5", "--backbone", "resnet50"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == 1
    assert content["work"][0]["share"] == pytest.approx(216 / 507)
    assert content["work"][1]["share"] is None
    assert asked[0]["settings"] == BenchSettings(backbone="resnet50", seconds=0.5)


def test_the_real_thing_prints_every_line(small_bench, trained, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--backbone", "test_resnet", "--size-px", "32", "--batch-size", "4", "--seconds", "0.02"]
    assert run(["bench", str(trained.folder), *words]) == 0
    printed = capsys.readouterr().out
    for what in ("matrix product, float32", "copying memory", "reading, one core", "from files", "test_resnet"):
        assert what in printed


def test_what_is_no_model_is_refused(refusal, tmp_path) -> None:
    assert "is not a model folder" in refusal("bench", tmp_path)
    assert "--batch-size 1 is out of range" in refusal("bench", "--batch-size", "1")


def test_it_loads_nothing_heavy_until_it_runs() -> None:
    code = "import sys, overread.cli.bench; sys.exit(bool({'torch', 'timm', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
