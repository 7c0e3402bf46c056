from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import Trained

from overread.cli.main import run


@pytest.fixture
def model(trained: Trained) -> Path:
    return trained.folder


def test_pictures_and_a_table(
    model: Path, cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((cohort_folder / "disc").glob("*.png"))[:2]
    assert run(["explain", str(model), *map(str, files), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/explained.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [str(path) for path in files]
    for row in rows:
        with Image.open(tmp_path / "out" / row["picture"]) as sheet:
            assert sheet.format == "PNG"
        assert row["explained"] == row["predicted"]
        assert float(row["p_disc"]) + float(row["p_square"]) == pytest.approx(1)
        assert len(row["like"].split("|")) == 5
    said = " ".join(capsys.readouterr().out.split())
    assert "were not checked on this model: overread explain MODEL --check" in said
    assert "Research use, not a medical device" in said
    assert not any("disc" in path.name for path in (tmp_path / "out").iterdir())  # a file's name may name a patient


def test_a_second_call_takes_the_next_folder(model: Path, cohort_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "m")
    path = next((cohort_folder / "disc").glob("*.png"))
    for _ in range(2):
        assert run(["explain", str(tmp_path / "m"), str(path)]) == 0
    assert (tmp_path / "m-explained-1/0001.png").exists()
    assert (tmp_path / "m-explained-2/0001.png").exists()


def test_a_file_that_cannot_be_read_is_told(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.png").write_text("no image")
    assert run(["explain", str(model), str(tmp_path / "note.png"), "--out", str(tmp_path / "out")]) == 2
    assert "not read: note.png" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "There is no FILE to explain"),
        (["x.png", "--check"], "--check looks at the model's own test images; leave out the files"),
        (["--check", "--about", "disc"], "leave out --about"),
        (["x.png", "--retrain"], "--retrain belongs to --check"),
        (["gone.png"], "gone.png does not exist"),
        (["x.png", "--quantile", "2"], "--quantile 2 is out of range"),
        (["x.png", "--about", "disc", "--against", "disc"], "--against disc is the class that is explained"),
        (["x.png", "--about", "lung"], "--about lung is no class of the model; they are disc, square"),
    ],
)
def test_refusals_are_one_line(
    more: list[str], said: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["explain", str(model), *more]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_other_things_in_the_folder_are_not_written_over(
    model: Path, cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    path = next((cohort_folder / "disc").glob("*.png"))
    assert run(["explain", str(model), str(path), "--out", str(tmp_path)]) == 2
    assert "holds other things than explanations" in capsys.readouterr().err


@pytest.mark.slow
def test_the_check_prints_its_table(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(model, tmp_path / "m")
    assert run(["explain", str(tmp_path / "m"), "--check", "--images", "8"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "class-map: control" in said
    assert "other weights, another map" in said
    assert "Report:" in said
