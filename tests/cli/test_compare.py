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
