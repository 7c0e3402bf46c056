"""Who may make a store, and what is said of one that cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from overread.cli.main import run

LOOKING = (["token", "list"], ["token", "end", "boss"], ["store", "verify"])


@pytest.mark.parametrize("words", LOOKING)
def test_who_only_looks_makes_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for folder in (there, tmp_path / "mistyped"):
        assert run([*words, "--store", str(folder)]) == 2
        assert f"{folder} holds no store. Name the folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize("words", LOOKING)
def test_who_only_looks_makes_no_tables_elsewhere(
    tmp_path: Path, postgres: Callable[[], str], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert run(["token", "add", "boss", *store, "--database", postgres()]) == 0
    mistyped = postgres()
    assert run([*words, *store, "--database", mistyped]) == 2
    assert "The database holds no store" in capsys.readouterr().err
    engine = create_engine(mistyped.replace("postgresql:", "postgresql+psycopg:"))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


@pytest.mark.parametrize("words", [["token", "add", "eve"], *LOOKING])
def test_a_store_whose_rows_are_elsewhere_gets_none_here(
    tmp_path: Path, postgres: Callable[[], str], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    store, database = ["--store", str(tmp_path / "store")], ["--database", postgres()]
    assert run(["token", "add", "boss", *store, *database]) == 0
    capsys.readouterr()
    assert run([*words, *store]) == 2
    assert "its rows are in a database elsewhere: give --database" in capsys.readouterr().err
    assert not (tmp_path / "store" / "store.sqlite").exists()
    assert run([*words, *store, *database]) == 0
