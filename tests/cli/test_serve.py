from __future__ import annotations

from pathlib import Path

import pytest

from overread.cli.main import run


@pytest.mark.parametrize("per_s", ["0", "-5", "nan", "inf"])
def test_a_pace_at_which_nobody_could_ask_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], per_s: str
) -> None:
    assert run(["serve", "no-model", "--store", str(tmp_path / "store"), f"--requests-per-s={per_s}"]) == 2
    assert f"--requests-per-s {per_s} is out of range" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
