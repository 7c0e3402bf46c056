from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from overread.errors import ImageError, RunError, SettingsError
from overread.predict import Prediction, Predictor, image_files
from overread.run import ray_cluster
from overread.run.job import Job
from overread.run.ray_predict import _at_hand, _files, predict_all

TIMEOUT_S = 300
with_ray = pytest.mark.skipif(
    not (ray_cluster.has("ray") and ray_cluster.has("pyarrow")), reason="Ray is not installed"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough images that the work takes some seconds, and one file that is none."""
    folder = tmp_path_factory.mktemp("many") / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(600):
        size = 600 if number % 2 else 500
        Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(folder / f"{number:03}.png")
    (folder / "not.png").write_text("no image")
    return folder


def command(model: Path, images: Path, out: Path) -> list[str]:
    words = ["predict", str(model), str(images), "--ray", "2", "--out", str(out)]
    return [sys.executable, "-m", "overread", *words]


def read(out: Path) -> list[dict[str, Any]]:
    from pyarrow import dataset

    rows: list[dict[str, Any]] = dataset.dataset(out, format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["path"], row["frame"]))


def check_same(rows: list[dict[str, Any]], wanted: list[Prediction]) -> None:
    assert [row["path"] for row in rows] == [p.path for p in wanted]
    for row, p in zip(rows, wanted, strict=True):
        assert (row["frame"], row["predicted"], row["abstains"]) == (p.frame, p.label, p.abstains)
        assert (row["problem"] or None) == p.problem
        for label, value in p.probabilities.items():
            assert row[f"p_{label}"] == pytest.approx(value, abs=1e-6)


@with_ray
@pytest.mark.slow
def test_workers_say_what_one_predictor_says_though_one_is_killed(
    finished: Job, images: Path, busy_below: Callable[..., int], tmp_path: Path
) -> None:
    wanted = list(Predictor(finished.out).predict_files(image_files([images])))
    out = tmp_path / "answers"
    process = subprocess.Popen(
        command(finished.out, images, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.kill(busy_below(process, "MapWorker", after_s=2.5), signal.SIGKILL)  # imports take less
    said, fault = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2, fault  # one file is no image
    assert f"{len(wanted)} answers, 1 of them" in said
    check_same(read(out), wanted)
    assert not [path for path in tmp_path.iterdir() if path != out]


@with_ray
def test_an_address_is_listed_and_brought(cohort_folder: Path, tmp_path: Path) -> None:
    """file:// goes the way that s3:// goes."""
    address = cohort_folder.absolute().as_uri()
    found = list(_files(address))
    assert [one["path"] for one in found] == [f"file://{path.absolute()}" for path in image_files([cohort_folder])]
    brought = Path(_at_hand(found[0]["at"], 7, tmp_path))
    assert brought.parent == tmp_path
    assert brought.read_bytes() == next(image_files([cohort_folder])).read_bytes()
    assert not Path(_at_hand(f"{address}/gone.png", 8, tmp_path)).exists()
    with pytest.raises(ImageError, match="cannot be listed"):
        list(_files("nonsense://bucket/scans"))


@with_ray
def test_what_is_there_is_not_overwritten(finished: Job, cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is there already"):
        predict_all(finished.out, [cohort_folder], out=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="No files"):
        predict_all(finished.out, [tmp_path / "empty"], out=tmp_path / "out")


def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_cluster, "has", lambda name: name != "ray")
    with pytest.raises(SettingsError, match=r"--ray needs ray.*pip install 'overread\[ray\]'"):
        predict_all(tmp_path, [tmp_path], out=tmp_path / "out")
