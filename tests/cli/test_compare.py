from __future__ import annotations

import csv
from pathlib import Path

import pytest

from overread.cli.main import run

TWO = "test_resnet,test_efficientnet"


@pytest.fixture(scope="module")
def flags(tiny: list[str]) -> list[str]:
    at = tiny.index("--backbone")
    return tiny[:at] + tiny[at + 2 :]


def test_networks_are_trained_on_one_split_and_set_side_by_side(cohort_folder, flags, tmp_path, capsys) -> None:
    words = ["compare", str(cohort_folder), *flags, "--backbones", TWO, "--out", str(tmp_path / "networks")]
    assert run(words) == 0
    printed = capsys.readouterr().out
    heading = next(line for line in printed.splitlines() if line.startswith("run"))
    assert heading.split()[:2] == ["run", "epoch"]
    assert "Below each figure its 95 % interval." in printed
    assert "! patients unknown" in printed
    splits = {(tmp_path / "networks" / name / "split.csv").read_bytes() for name in TWO.split(",")}
    assert len(splits) == 1
    with (tmp_path / "networks" / "runs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["backbone"] for row in rows] == TWO.split(",")
    for row in rows:
        line = next(line for line in printed.splitlines() if line.startswith(f"{row['run']} "))
        assert line.split()[3] == f"{float(row['accuracy']):.3f}"

    assert run(words) == 0  # again: what has ended is kept
    assert capsys.readouterr().out.count("has ended already; kept.") == 2


def test_networks_are_compared_fold_by_fold(cohort_folder, flags, tmp_path, capsys) -> None:
    words = ["compare", str(cohort_folder), *flags, "--patient-regex", r"/(\w\d)-", "--no-audit", "--backbones", TWO]
    assert run([*words, "--folds", "2", "--margin", "0.1", "--out", str(tmp_path / "networks")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Cross-validation: 2 folds.") == 2
    assert "resampled t-test of 2 folds" in " ".join(printed.split())
    assert (tmp_path / "networks" / "comparison.json").exists()


def test_finished_runs_are_compared_as_they_are(trained, tmp_path, capsys, refusal) -> None:
    again = tmp_path / "again"
    assert run(["evaluate", str(trained.folder), "--out", str(again)]) == 0
    capsys.readouterr()
    assert run(["compare", "--runs", str(trained.folder), str(again), "--margin", "0.01"]) == 0
    assert "put no network above another" in capsys.readouterr().out
    words = ["compare", "--runs", str(trained.folder), str(again), "--out", str(tmp_path / "both")]
    assert run(words) == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["comparison.html", "comparison.json"]
    assert "must name two runs or more" in refusal("compare", "--runs", again, again)
    assert "--epochs goes with a training" in refusal("compare", "--runs", again, trained.folder, "--epochs", "3")
    assert "DATA goes with a training" in refusal("compare", trained.source, "--runs", again, trained.folder)
    assert "--margin 2 is out of range" in refusal("compare", "--runs", again, trained.folder, "--margin", "2")
    assert "Give DATA and --backbones" in refusal("compare")


@pytest.mark.parametrize("names", ["test_resnet", "test_resnet,test_resnet", ","])
def test_fewer_than_two_networks_are_refused(names: str, cohort_folder, flags, refusal) -> None:
    assert "must name two networks or more" in refusal("compare", cohort_folder, *flags, "--backbones", names)


def test_an_unknown_network_ends_it_before_the_first_has_trained(cohort_folder, flags, refusal, tmp_path) -> None:
    words = ["compare", cohort_folder, *flags, "--backbones", "test_resnet,resnet81", "--out", tmp_path / "networks"]
    assert "Did you mean resnet18" in refusal(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_in_it_is_left_alone(cohort_folder, flags, refusal, tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "kept").touch()
    (tmp_path / "thesis.txt").touch()
    said = refusal("compare", cohort_folder, *flags, "--backbones", TWO, "--out", tmp_path)
    assert "holds other things than runs (thesis.txt)" in said
    assert (tmp_path / ".cache" / "kept").exists()
