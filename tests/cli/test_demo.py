from __future__ import annotations

import pytest

from overread.cli.main import run
from overread.model import bundle


@pytest.mark.slow
def test_the_whole_job_runs_from_nothing(tmp_path, capsys) -> None:
    out = tmp_path / "demo"
    words = ["demo", "--patients", "9", "--epochs", "1", "--out", str(out)]
    assert run([*words, "--weights", "no-such.safetensors"]) == 2
    made = (out / "phantoms" / "truth.json").stat().st_mtime_ns
    assert run(words) == 0  # another try keeps the patients that the first one has made
    assert (out / "phantoms" / "truth.json").stat().st_mtime_ns == made
    printed = capsys.readouterr().out
    for words in ("1. 9 phantom patients", "2. Train on some", "3. The result", "Test part: 12 images, 3 patients."):
        assert words in printed
    assert bundle.load_card(out / "model").classes == ("aneurysm", "cancer", "tumor")
    last = printed.splitlines()[-1]
    assert last.startswith("Next: overread predict ")
    assert run(last.split()[2:]) == 0  # the command that it ends with works
    assert "aneurysm" in capsys.readouterr().out


def test_a_second_demo_does_not_overwrite_the_first(tmp_path, refusal) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").touch()
    assert "holds a finished run. Choose another --out" in refusal("demo", "--out", tmp_path)


def test_a_bad_number_is_refused_before_anything_is_made(tmp_path, refusal) -> None:
    assert "--epochs 0 is out of range" in refusal("demo", "--epochs", "0", "--out", tmp_path / "demo")
    assert "--patients 8 is too few" in refusal("demo", "--patients", "8", "--out", tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []
