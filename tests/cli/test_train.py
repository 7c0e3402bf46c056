from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from overread.cli.main import run
from overread.cli.train import new_folder
from overread.run.job import claimed


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_table_2_is_printed_row_by_row(trained) -> None:
    lines = trained.printed.splitlines()
    (at,) = (n for n, line in enumerate(lines) if line.startswith("epoch"))
    assert lines[at] == "epoch  train loss  train accuracy  validation loss  validation accuracy  best"
    history = rows_of(trained.folder / "history.csv")
    for line, row in zip(lines[at + 1 : at + 3], history, strict=True):
        number = r"\s+(\d\.\d+)"
        found = re.fullmatch(rf"\s+(\d+){number}{number}{number}{number}(\s+\*)?", line)
        assert found is not None, line
        assert found[1] == row["epoch"]
        for printed, column in zip(found.groups()[1:5], list(row)[1:5], strict=True):
            assert float(printed) == pytest.approx(float(row[column]), abs=5e-4)
    assert lines[at + 1].endswith("*")


def test_images_patients_and_split_are_printed_before_training(trained) -> None:
    assert "48 images (disc 24, square 24): train 16 of 4 patients, val 16 of 4" in trained.printed
    assert "test_resnet, as asked; weights: none: random weights, as asked." in trained.printed


def test_each_figure_is_printed_with_interval_images_and_patients(trained) -> None:
    assert "Test part: 16 images, 4 patients. Best epoch:" in trained.printed
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    figures = {(m["name"], m["label"]): m for m in metrics["measured"]}
    accuracy = figures["accuracy", None]
    line = next(line for line in trained.printed.splitlines() if line.startswith("accuracy"))
    interval = f"{accuracy['low']:.3f} to {accuracy['high']:.3f}"
    assert line.split(maxsplit=3)[2:] == [f"{accuracy['value']:.3f}", f"{interval}      16         4"]


def test_weak_intervals_are_told(trained) -> None:
    assert "are rough: a class has few patients." in trained.printed


def test_it_ends_with_where_to_look_and_what_to_try(trained) -> None:
    assert f"Report: {trained.folder / 'report.html'}" in trained.printed
    assert trained.printed.splitlines()[-1] == f"Next: overread predict {trained.folder} YOUR_IMAGE"


def test_without_a_terminal_lines_are_plain(trained) -> None:
    assert "\x1b" not in trained.printed
    assert "\r" not in trained.printed
    assert "━" not in trained.printed


def test_the_model_folder_is_whole(trained) -> None:
    found = {path.relative_to(trained.folder).as_posix() for path in trained.folder.rglob("*") if path.is_file()}
    assert found >= {
        "model.json", "weights.safetensors", "model.onnx", "metrics.json", "training.json", "history.csv",
        "split.csv", "predictions.csv",
    }  # fmt: skip
    pictures = ("test-images", "test-predictions", "learning-curves", "confusion", "roc")
    assert found >= {f"figures/{name}.{ending}" for name in pictures for ending in ("png", "svg")}
    assert not [name for name in found if Path(name).name.startswith(".")]
    card = json.loads((trained.folder / "model.json").read_text())
    assert set(card["files"]) == found - {"model.json"}


def test_every_prediction_is_kept_and_no_patient_is_named(trained) -> None:
    rows = rows_of(trained.folder / "predictions.csv")
    assert list(rows[0]) == [
        "path", "frame", "patient", "true", "predicted", "probability disc", "probability square", "split",
        "distance",
    ]  # fmt: skip
    assert {row["split"] for row in rows} == {"val", "test"}
    for row in rows:
        p = {name: float(row[f"probability {name}"]) for name in ("disc", "square")}
        assert sum(p.values()) == pytest.approx(1)
        assert row["predicted"] == max(p, key=p.__getitem__)
        assert row["true"] == Path(row["path"]).parent.name
        assert len(row["patient"]) >= 8


def test_each_metric_has_an_interval_and_what_it_rests_on(trained) -> None:
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["part"] == "test"
    names = {(m["name"], m["label"]) for m in metrics["measured"]}
    together = (
        "accuracy",
        "balanced_accuracy",
        "auroc",
        "average_precision",
        "f1",
        "mcc",
        "kappa",
        "brier",
        "log_loss",
    )
    assert names == {
        *((name, None) for name in together),
        *((name, label) for name in ("f1", "sensitivity", "specificity") for label in ("disc", "square")),
    }  # fmt: skip
    for m in metrics["measured"]:
        assert m["part"] == "test"
        assert "no interval" in m["method"] or m["low"] <= m["value"] <= m["high"]
        assert 0 < m["n_patients"] <= m["n_images"] <= 16
        assert m["method"]
    assert [sum(row) for row in metrics["confusion"]] == [8, 8]


def test_unknown_patients_are_marked_and_the_three_ways_told(cohort_folder, tiny, tmp_path, capsys) -> None:
    source, out = tmp_path / "Köpfe, neu" / "снимки", tmp_path / "erster Lauf"
    source.parent.mkdir()
    source.symlink_to(cohort_folder)
    assert run(["train", str(source), *tiny, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    mark = "! patients unknown: these figures may be too good"
    assert printed.count(mark) == 2  # before the training, and below the figures
    for way in ("--patient-column", "--patient-regex", "DICOM"):
        assert way in printed
    assert "Test part: 16 images, patients unknown." in printed
    assert printed.splitlines()[-1] == f"Next: overread predict '{out}' YOUR_IMAGE"
    assert run(["predict", str(out), str(source / "disc" / "d0-0.png")]) == 0
    assert mark in capsys.readouterr().out


def test_several_seeds_are_reported_with_their_spread(cohort_folder, tiny, tmp_path, capsys) -> None:
    assert run(["train", str(cohort_folder), *tiny, "--seeds", "2", "--out", str(tmp_path / "runs")]) == 0
    printed = capsys.readouterr().out
    for word in ("seed-0", "seed-1", "median", "lowest", "highest", "Run 2 of 2"):
        assert word in printed
    assert printed.count("epoch  train loss") == 2
    rows = rows_of(tmp_path / "runs" / "runs.csv")
    assert [row["run"] for row in rows] == ["seed-0", "seed-1"]
    values = sorted(float(row["auroc"]) for row in rows)
    median = next(line for line in printed.splitlines() if line.startswith("median")).split()
    assert float(median[4]) == pytest.approx(sum(values) / 2, abs=5e-4)
    assert not (tmp_path / "runs" / ".cache").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give the images to train on, or --resume RUN"),
        (["--finish"], "--finish ends a run early, so it needs --resume RUN"),
        (["scans", "--resume", "run"], "one of the two"),
        (["--resume", "run", "--epochs", "3"], "--epochs cannot be given"),
        (["--resume", "run", "--out", "other"], "--out, --seeds, --recipe, --ignore or --no-audit cannot be given"),
        (["--resume", "no-such-run"], "no-such-run holds no run"),
        (["no-such-scans"], "no-such-scans"),
    ],
)
def test_what_does_not_go_together_is_refused(words, said, refusal, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refusal("train", *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backbone", "resnet81"], "Did you mean resnet18"),
        (["--weights", "no-such.safetensors"], "no-such.safetensors"),
        (["--positive", "circle"], "--positive circle is not a class; the classes are disc, square."),
        (["--split", "patients"], "--split patients is not known"),
        (["--freeze", "99", "--weights", "file"], "file"),
    ],
)
def test_a_refused_run_leaves_its_folder_free(words, said, cohort_folder, tiny, refusal, tmp_path) -> None:
    out = tmp_path / "runs" / "first"
    assert said in refusal("train", cohort_folder, *tiny, *words, "--out", out)
    left = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert left in ([], [".cache"])
    if not left:
        assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file_or_in_use_is_refused(cohort_folder, tiny, refusal, tmp_path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    assert "is a file, and --out must name a folder" in refusal("train", cohort_folder, *tiny, "--out", thesis)
    assert "thesis.txt is in it" in refusal("train", cohort_folder, *tiny, "--out", tmp_path)
    assert thesis.read_text() == "years of work"
    busy = tmp_path / "busy"
    with claimed(busy):
        (busy / "training.json").write_text("{}")
        assert "is in use" in refusal("train", cohort_folder, *tiny, "--out", busy)


def test_runs_are_numbered_where_no_folder_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    scans = tmp_path / "scans"
    assert new_folder(scans) == Path("runs/scans-1")
    (tmp_path / "runs/scans-1").mkdir(parents=True)
    assert new_folder(scans) == Path("runs/scans-1")  # empty: nothing is lost
    (tmp_path / "runs/scans-1/model.json").touch()
    (tmp_path / "runs/scans-2").touch()
    assert new_folder(scans) == Path("runs/scans-3")
