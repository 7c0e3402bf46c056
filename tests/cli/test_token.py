from __future__ import annotations

from pathlib import Path

import pytest

from overread.cli.main import run


def test_the_first_token_tells_that_a_running_service_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    told = []
    for name in ("dr-lee", "dr-chen"):
        assert run(["token", "add", name, *store]) == 0
        said = capsys.readouterr()
        assert said.out.startswith("ovr_")
        told.append("asks nobody for a token until it is started again" in said.err)
    assert told == [True, False]
