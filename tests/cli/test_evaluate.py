from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from overread.cli.main import run


def test_the_verdict_is_printed_first_then_the_figures(trained, tmp_path: Path, capsys) -> None:
    out = tmp_path / "read"
    assert run(["evaluate", str(trained.folder), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    verdict = json.loads((out / "evaluation.json").read_text())["verdict_in_words"]
    assert printed.index(verdict) < printed.index("Test part:")
    assert "  3. " in printed
    assert f"Report: {out / 'report.html'}" in " ".join(printed.split())


def test_figures_from_elsewhere_stand_beside_those_at_home(trained, tmp_path: Path, capsys) -> None:
    assert run(["evaluate", str(trained.folder), str(trained.source), "--out", str(tmp_path / "read")]) == 0
    printed = capsys.readouterr().out
    heading = next(line for line in printed.splitlines() if line.startswith("figure"))
    assert "at home" in heading
    assert heading.index("at home") < heading.index("here")
    assert "External part: 48 images" in printed


def test_without_out_a_free_folder_beside_the_model_is_taken(trained, tmp_path: Path, capsys) -> None:
    for number in (1, 2):
        assert run(["evaluate", str(trained.folder)]) == 0
        folder = trained.folder.parent / f"{trained.folder.name}-read-{number}"
        assert (folder / "report.html").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--prevalence", "2"], "--prevalence 2 is out of range"),
        (["--operating", "best"], "--operating best is not known"),
        (["--patient-regex", "(x)"], "--patient-regex says how DATA is read, and there is no DATA"),
        (["nowhere/"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(trained, refusal, tmp_path, flags, said) -> None:
    assert said in refusal("evaluate", trained.folder, *flags, "--out", tmp_path / "read")
    assert not (tmp_path / "read" / "report.html").exists()


def test_it_needs_no_torch(trained, tmp_path: Path) -> None:
    words = ["evaluate", str(trained.folder), str(trained.source), "--out", str(tmp_path / "r")]
    code = f"import sys; from overread.cli.main import run; sys.exit(run({words!r}) or 3 * ('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "report.html").exists()
