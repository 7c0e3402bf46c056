"""Who may make a store, and what is said of one that cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from overread.cli.main import run
from overread.errors import OverreadError
from overread.serve.database import why_shut
from overread.serve.store import open_store

VERSION = "create table alembic_version (version_num varchar(32))"
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
    tmp_path: Path, postgres: Callable[..., str], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert run(["token", "add", "boss", *store, "--database", postgres()]) == 0
    mistyped = postgres()
    assert run([*words, *store, "--database", mistyped]) == 2
    assert "The database holds no store" in capsys.readouterr().err
    engine = create_engine(_address(mistyped))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


@pytest.mark.parametrize("words", [["token", "add", "eve"], *LOOKING])
def test_a_store_whose_rows_are_elsewhere_gets_none_here(
    tmp_path: Path, postgres: Callable[..., str], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    store, database = ["--store", str(tmp_path / "store")], ["--database", postgres()]
    assert run(["token", "add", "boss", *store, *database]) == 0
    capsys.readouterr()
    assert run([*words, *store]) == 2
    assert "its rows are in a database elsewhere: give --database" in capsys.readouterr().err
    assert not (tmp_path / "store" / "store.sqlite").exists()
    assert run([*words, *store, *database]) == 0


def test_a_store_with_files_is_not_begun_anew_in_an_empty_database(
    tmp_path: Path, postgres: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its files would be unknown to it."""
    store = ["--store", str(tmp_path / "store")]
    assert run(["token", "add", "boss", *store, "--database", postgres()]) == 0
    empty = postgres()
    assert run(["token", "add", "eve", *store, "--database", empty]) == 2
    assert "The database holds no store. Name the --store, and the --database" in capsys.readouterr().err
    engine = create_engine(_address(empty))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def _address(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def _write(url: str, *statements: str) -> None:
    """What somebody else does in a database."""
    engine = create_engine(_address(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _refused(folder: Path, url: str | None = None) -> str:
    with pytest.raises(OverreadError) as fault:
        open_store(folder, url=url)
    return str(fault.value)


@pytest.mark.parametrize(
    "statements",
    [
        ["create table study (id integer)"],
        [
            VERSION,
            "insert into alembic_version values ('1975ea83b712')",
        ],
        [VERSION, "insert into alembic_version values ('0001')"],
        [VERSION, "create table study (id integer)"],
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_another_or_in_parts_is_said_to_be(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, statements: list[str]
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    url = None if kind == "sqlite" else request.getfixturevalue("postgres")()
    _write(url or f"sqlite:///{folder / 'store.sqlite'}", *statements)
    said = _refused(folder, url)
    assert "was not made by overread, or not all of it is there" in said
    assert "createdb -E UTF8" in said
    assert not (folder / "site.key").exists()


def test_a_database_that_knows_no_letters_is_said_to_be(tmp_path: Path, postgres: Callable[..., str]) -> None:
    said = _refused(tmp_path / "store", postgres("-E", "SQL_ASCII", "-T", "template0", "--locale", "C"))
    assert said == "--database: its text is in SQL_ASCII. Give an empty database in UTF-8: createdb -E UTF8 NAME"


def test_a_database_whose_machine_is_cut_off_is_not_waited_for_until_the_system_gives_up(
    tmp_path: Path, postgres: Callable[..., str]
) -> None:
    store = open_store(tmp_path / "store", url=postgres())
    with store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        told = {name: int(value) for name, value in driver.info.get_parameters().items() if value.isdigit()}
    store.close()
    until_given_up = told["keepalives_idle"] + told["keepalives_interval"] * told["keepalives_count"]
    assert until_given_up <= 60
    assert told["tcp_user_timeout"] <= 60_000


@pytest.mark.parametrize("n_bytes", [8, 80_000])
def test_a_file_that_is_no_database_is_said_to_be(tmp_path: Path, n_bytes: int) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "store.sqlite").write_bytes(b"nonsense" * (n_bytes // 8))
    assert _refused(folder) == (
        "store.sqlite is no database, or is damaged (file is not a database). Bring it back from a backup."
    )


def test_a_user_who_may_make_no_tables_is_said_to_be(tmp_path: Path, postgres: Callable[..., str]) -> None:
    url = postgres()
    _write(url, "create role guest login", "revoke create on schema public from public")
    said = _refused(tmp_path / "store", url.replace("//overread@", "//guest@"))
    assert "does not let its user do what overread does" in said
    assert "guest" not in said


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("/store", "/nosuch"), "there is no database of that name"),
        (("//overread@", "//nobody:geheim@"), "it does not let this user in"),
        (("//overread@", "//overread:geheim@nosuchhost.invalid"), "no host of that name is known"),
        (("?host=", "?host=/nosuch"), "nothing listens at its address"),
        (("//overread@/", "//overread:geheim@127.0.0.1:9/"), "nothing listens at its address"),
    ],
)
def test_why_a_database_cannot_be_opened_is_said_and_whose_it_is_not(
    tmp_path: Path, postgres: Callable[..., str], change: tuple[str, str], why: str
) -> None:
    url = postgres().replace(*change, 1)
    if "@/" not in url:
        url = url.partition("?")[0]
    said = _refused(tmp_path / "store", url)
    assert why in said
    assert ("Try again" in said) == ("listens" in why)
    assert not any(word in said for word in ("geheim", "nobody", "nosuch", "127.0.0.1"))


@pytest.mark.parametrize(
    "said",
    [
        'connection failed: FATAL:  password authentication failed for user "who"',
        'connection failed: FATAL:  Peer authentication failed for user "who"',
        "connection failed: fe_sendauth: no password supplied",
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "who", database "x", no encryption',
    ],
)
def test_who_is_not_let_in_is_told_so(said: str) -> None:
    assert why_shut(said) == "it does not let this user in: by this name, with this password, from here"
