from __future__ import annotations

import json
from pathlib import Path

from overread.cli.main import run

BY_PATIENT = ["--patient-regex", r"/(\w\d)-"]


def test_each_control_ends_in_its_sentence(cohort_folder, tiny, tmp_path: Path, capsys) -> None:
    out = tmp_path / "controls"
    assert run(["controls", str(cohort_folder), *tiny, *BY_PATIENT, "--only", "shuffled,gap", "--out", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    told = json.loads((out / "controls.json").read_text())["told"]
    assert [one["control"] for one in told] == ["shuffled", "gap"]
    for one in told:
        assert " ".join(one["words"].split()) in printed
    assert f"{out / 'controls.html'}" in printed


def test_what_cannot_be_done_is_refused_in_one_line(cohort_folder, tiny, refusal, tmp_path: Path) -> None:
    words = ["controls", cohort_folder, *tiny, "--out", tmp_path / "controls"]
    assert "no patient is known" in refusal(*words)
    assert "Controls make their own splits" in refusal(*words, *BY_PATIENT, "--split", "image")
    assert "--only gaps is no control" in refusal(*words, *BY_PATIENT, "--only", "gaps")
    assert not (tmp_path / "controls").exists()
