from __future__ import annotations

from pathlib import Path

import pytest

from overread.cli.main import run
from overread.serve.store import open_store
from overread.serve.tables import now


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


def test_who_has_no_account_and_who_has_none_any_more_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    open_store(tmp_path / "store").close()
    assert run(["token", "list", *store]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "No account was ever made here. Make the first: overread token add NAME\n")
    assert run(["token", "add", "boss", *store]) == run(["token", "end", "boss", *store]) == 0
    capsys.readouterr()
    assert run(["token", "end", "boss", *store]) == 2
    assert f"'boss' has no account any more: it was ended on {now()[:10]}." in capsys.readouterr().err
    assert run(["token", "end", "nobody", *store]) == 2
    assert "'nobody' has no account here." in capsys.readouterr().err
    assert run(["token", "list", *store]) == 0
    said = capsys.readouterr()
    assert ("ended" in said.out, said.err) == (True, "")
