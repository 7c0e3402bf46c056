from __future__ import annotations

import json
from pathlib import Path

import pytest

from overread.audit.audit import CHECKS
from overread.cli.main import run


def test_the_table_says_what_where_and_what_to_do(cohort_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(cohort_folder), "--weights", "none"]) == 0
    printed = capsys.readouterr().out
    assert "48 images, patients unknown" in printed
    assert "serious  L06  Patients are unknown" in printed
    assert "Do: Tell who is who" in printed
    assert "Verdict: Believe a model that is trained on these data with care." in printed


def test_json_is_all_that_is_on_the_output(cohort_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["audit", str(cohort_folder), "--weights", "none", "--json"])
    content = json.loads(capsys.readouterr().out)
    assert content["n_images"] == 48
    assert content["asked"] == [check.code for check in CHECKS]


def test_a_fatal_finding_is_exit_code_1(cohort_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["audit", str(cohort_folder), "--weights", "none", "--split", "image", "--patient-regex", r"/(\w\d)-"])
    assert code == 1
    assert "fatal    L01" in capsys.readouterr().out


def test_the_list_names_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(check.code in printed for check in CHECKS)


def test_what_is_ignored_is_printed_with_its_reason(cohort_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["audit", str(cohort_folder), "--weights", "none", "--ignore", "L06", "--why", "one image a patient"])
    printed = capsys.readouterr().out
    assert "ignored  L06" in printed
    assert "Because: one image a patient" in printed


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "Give the images to audit"),
        (["DATA", "--ignore", "L06"], "needs its reason"),
        (["DATA", "--ignore", "Z01", "--why", "no such check"], "Z01 is no check"),
        (["nowhere"], "is not there"),
    ],
)
def test_what_is_wrong_is_told(
    flags: list[str], told: str, cohort_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", *(str(cohort_folder) if flag == "DATA" else flag for flag in flags)]) == 2
    assert told in capsys.readouterr().err
