"""Behaviour, not speed: these machines are shared, and a test that counts seconds would fail by chance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError, SettingsError
from overread.run import bench_network, limits
from overread.run.bench import Bench, bench
from overread.run.bench_rows import BenchSettings, Row
from overread.run.limits import Rates, between_stamps, repeat
from overread.training.watch import Silent

SMALL = BenchSettings(backbone="test_resnet", size_px=32, batch_size=4, seconds=0.05)


BUSY = limits.busy  # the fixture has it silent
pytestmark = pytest.mark.usefixtures("small_bench")


@pytest.fixture(scope="module")
def measured(small_bench: None) -> Bench:
    return bench(SMALL)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench_network.write_model(tmp_path_factory.mktemp("bench") / "model", "test_resnet", size_px=32)


def test_each_piece_of_work_stands_beside_its_limit(measured: Bench) -> None:
    assert [row.what for row in measured.work] == [
        "reading, one core",
        "gathering batches",
        "predicting, network alone",
        "predicting, from files",
        "training test_resnet",
    ]
    for row in measured.work:
        assert 0 < row.low <= row.value <= row.high
        assert row.limit is not None
        assert row.share == pytest.approx(row.value / row.limit)
        assert row.unit == "images/s"
        assert row.of
        assert row.do.endswith(".")


def test_the_limits_have_no_limit(measured: Bench) -> None:
    first, *_, last = measured.limits
    assert (first.what, first.unit) == ("matrix product, float32", "GFLOP/s")
    assert (last.what, last.unit) == ("copying memory", "GB/s")
    for row in measured.limits:
        assert row.share is None
        assert row.low <= row.value == row.high


def test_reading_never_beats_what_is_only_a_part_of_it(measured: Bench) -> None:
    share = measured.work[0].share
    assert share is not None
    assert 0 < share < 1.2


def test_json_has_every_line_with_its_share(measured: Bench) -> None:
    content = json.loads(json.dumps(measured.to_json()))
    assert set(content) == {
        "schema", "machine", "versions", "settings", "limits", "work", "remarks", "seconds",
    }  # fmt: skip
    assert content["settings"]["backbone"] == "test_resnet"
    assert set(content["machine"]) == {"system", "processor", "cores", "memory_gb", "gpu"}
    for row, line in zip(measured.work, content["work"], strict=True):
        assert line["share"] == row.share
    assert content["versions"]["overread"]


@pytest.mark.parametrize(
    ("backbone", "size_px", "n_classes", "gflop"),
    [
        ("resnet18", 224, 1000, 3.628),  # He et al. 2016, table 1: 1.8 thousand million multiplications and additions
        ("resnet50", 224, 1000, 8.178),
        ("vgg16", 224, 1000, 30.94),
        ("resnet18", 448, 2, 4 * (3.628 - 0.001)),
    ],
)
def test_arithmetic_is_what_papers_tell(backbone: str, size_px: int, n_classes: int, gflop: float) -> None:
    counted = bench_network.count_flop(backbone, size_px=size_px, n_classes=n_classes) / 1e9
    assert counted == pytest.approx(gflop, rel=2e-3)


def test_arithmetic_of_resnet18_by_hand() -> None:
    """Each convolution: its output's places times its filters times the inputs of each; two operations."""
    stem = 112**2 * 64 * 3 * 49
    first = 4 * 56**2 * 64 * 64 * 9
    deeper = sum(
        side**2 * (n * n // 2 * 9 + 3 * n * n * 9 + n * n // 2) for side, n in ((28, 128), (14, 256), (7, 512))
    )
    head = 512 * 2
    assert bench_network.count_flop("resnet18", size_px=224) == 2 * (stem + first + deeper + head)


def test_a_model_folder_predicts_in_place_of_a_made_one(model: Path) -> None:
    found = bench(SMALL, model=model)
    assert [row.what for row in found.work][2:4] == ["predicting, network alone", "predicting, from files"]


def test_a_folder_that_is_no_model_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a model folder"):
        bench(SMALL, model=tmp_path)


def test_a_network_that_nobody_knows_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="resnet18"):
        bench(BenchSettings(backbone="resnet1", seconds=0.01, size_px=32))


def test_without_torch_it_measures_the_rest_and_says_so(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(limits, "has_torch", lambda: False)
    found = bench(SMALL, model=model)
    assert [row.what for row in found.work] == [
        "reading, one core", "predicting, network alone", "predicting, from files",
    ]  # fmt: skip
    alone = found.work[1]
    assert alone.share is None
    assert len(found.remarks) == 2
    assert all("PyTorch" in sentence for sentence in found.remarks)
    without = bench(SMALL)
    assert [row.what for row in without.work] == ["reading, one core"]
    assert any("bench MODEL" in sentence for sentence in without.remarks)


def test_without_torch_nothing_imports_it(model: Path) -> None:
    code = f"""
import sys
from importlib.util import find_spec
heavy = ("torch", "torchvision", "timm", "onnx", "scipy", "safetensors")
for name in heavy:
    sys.modules[name] = None
from pathlib import Path
from overread.run import bench_reading, limits
bench_reading.PHANTOM_PX = 64
limits.n_cores = lambda: 1
from overread.run.bench import bench
from overread.run.bench_rows import BenchSettings
limits.SIDE, limits.COPIED_BYTES = 256, 2**20
found = bench(BenchSettings(size_px=32, seconds=0.02), model=Path({str(model)!r}))
print(len(found.work))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "3", done.stderr


def test_it_tells_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Ear(Silent):
        def step(self, what: str, done: int, total: int) -> None:
            assert 0 <= done <= total
            heard.append(what)

    monkeypatch.setattr(limits, "has_torch", lambda: False)
    bench(SMALL, watch=Ear())
    assert list(dict.fromkeys(heard)) == [
        "matrix product, float32", "copying memory", "making synthetic CT slices", "decoding and scaling alone",
        "reading, one core",
    ]  # fmt: skip


def test_a_machine_that_is_busy_already_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0), raising=False)
    assert "Other programs were at work when this began (load 3.0 on 1 cores)" in (BUSY() or "")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.4, 9.0, 9.0), raising=False)
    assert BUSY() is None


@pytest.mark.parametrize(("name", "value"), [("seconds", 0.0), ("batch_size", 1), ("size_px", 8)])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')}"):
        BenchSettings(**{name: value})


def test_the_share_of_nothing_is_not_zero() -> None:
    assert Row(what="x", unit="y", value=1, low=1, high=1).share is None
    assert Row(what="x", unit="y", value=1, low=1, high=1, limit=4).share == 0.25


def test_rates_know_their_middle_and_their_ends() -> None:
    rates = Rates(values=(3.0, 1.0, 2.0))
    assert (rates.low, rates.median, rates.high) == (1, 2, 3)


def test_work_is_repeated_and_counted() -> None:
    calls = []
    rates = repeat(lambda: calls.append(None), amount=2, seconds=0, at_least=4)
    assert len(rates.values) == 4
    assert len(calls) >= 5


def test_rates_between_stamps_leave_out_what_came_before_the_first() -> None:
    assert between_stamps([100, 101, 102, 103], images_each=32, windows=3).values == (32, 32, 32)
    assert between_stamps(np.arange(100) / 10, windows=7).median == pytest.approx(10)
    assert len(between_stamps([0, 1]).values) == 1
