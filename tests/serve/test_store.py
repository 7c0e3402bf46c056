from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from overread.errors import ServiceError, SettingsError
from overread.serve import archive
from overread.serve.archive import Archive
from overread.serve.identity import SiteKey, read_key
from overread.serve.store import Store, open_store
from overread.serve.tables import Account, Instance, Series, Step, Study, now
from overread.serve.trail import record, verify


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty database; None for SQLite in the store."""
    return request.getfixturevalue("postgres")() if request.param == "postgresql" else None


def _account(name: str) -> Account:
    return Account(name=name, role="reader", key=name, secret_hash="-", made_at=now())


def _add_and_fail(store: Store, row: Account | None) -> None:
    with store.begin() as session:
        if row is not None:
            session.add(row)
        record(session, who="me", did="nothing")
        raise ZeroDivisionError


def test_what_is_committed_is_there_and_what_fails_is_not(store: Store) -> None:
    with store.begin() as session:
        session.add(_account("kept"))
    with pytest.raises(ZeroDivisionError):
        _add_and_fail(store, _account("undone"))
    with store.read() as session:
        assert session.scalars(select(Account.name)).all() == ["kept"]


def test_a_store_is_opened_again_with_all_that_it_holds(tmp_path: Path) -> None:
    first = open_store(tmp_path / "s")
    with first.begin() as session:
        record(session, who="me", did="began")
    first.close()
    again = open_store(tmp_path / "s")
    with again.read() as session:
        assert verify(session).n_steps == 1
    assert again.key == first.key
    again.close()


def test_processes_that_open_a_new_store_at_once_make_it_once(tmp_path: Path) -> None:
    code = (
        "import sys; from overread.serve.store import open_store; from overread.serve.trail import record\n"
        "s = open_store(sys.argv[1])\n"
        "for i in range(20):\n"
        "    with s.begin() as session: record(session, who='me', did='counted')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s")]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    store = open_store(tmp_path / "s")
    with store.read() as session:
        found = verify(session)
    assert (found.n_steps, found.broken_at) == (60, None)
    store.close()


def test_the_trail_cannot_be_changed_by_mistake(store: Store) -> None:
    with store.begin() as session:
        record(session, who="me", did="first")
    for words in ("update trail set who = 'you'", "delete from trail"):
        with pytest.raises(DBAPIError, match="never changed"), store.begin() as session:
            session.execute(text(words))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update trail set who = 'you' where number = 2", "changed"),
        ("delete from trail where number = 2", "missing"),
        ("update trail set hash = 'x', details = '{\"a\": 9}' where number = 2", "changed"),
    ],
)
def test_a_trail_that_was_changed_on_purpose_is_found_out(store: Store, change: str, why: str) -> None:
    for number in range(4):
        with store.begin() as session:
            record(session, who="me", did="counted", subject=str(number), a=number)
    with store.begin() as session:
        if store.engine.dialect.name == "sqlite":
            session.execute(text("drop trigger trail_no_update"))
            session.execute(text("drop trigger trail_no_delete"))
        else:
            session.execute(text("alter table trail disable trigger all"))
        session.execute(text(change))
    with store.read() as session:
        found = verify(session)
    assert found.broken_at == 2
    assert why in found.why


def test_a_step_is_undone_with_what_it_tells_of(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        _add_and_fail(store, None)
    with store.read() as session:
        assert session.scalars(select(Step)).all() == []


def test_a_store_of_a_newer_overread_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s")
    with store.begin() as session:
        session.execute(text("update alembic_version set version_num = '9999'"))
    store.close()
    with pytest.raises(ServiceError, match="newer overread"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize("url", ["mysql://x/y", "not an address", "postgresql://", ""])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises((SettingsError, ServiceError)) as fault:
        open_store(tmp_path / "s", url=url)
    assert "password" not in str(fault.value)


def test_a_database_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="does not answer") as fault:
        open_store(tmp_path / "s", url="postgresql://who:secret@127.0.0.1:9/x")
    assert fault.value.status == 503
    assert "secret" not in str(fault.value)


def test_a_database_whose_connections_are_all_at_work_is_said_to_be(store: Store) -> None:
    """As where it hangs: who comes then waits for half a minute, and not for ever."""
    with ExitStack() as stack:
        pool: Any = store.engine.pool
        pool._timeout = 0.05
        for _ in range(pool.size() + pool._max_overflow):
            stack.enter_context(store.engine.connect())
        with pytest.raises(ServiceError, match="all connections are in use") as fault, store.read() as session:
            session.execute(text("select 1"))
    assert (fault.value.kind, fault.value.status) == ("store-away", 503)


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    open_store(folder).close()
    bind = ["mount", "--bind", str(folder), str(folder)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a folder")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True, capture_output=True)
        with pytest.raises(SettingsError, match="cannot be written"):
            open_store(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_patient_is_told_apart_and_not_found_again(tmp_path: Path) -> None:
    key, other = read_key(tmp_path / "a.key"), read_key(tmp_path / "b.key")
    assert key.hash_patient("P-17") == key.hash_patient(" P-17 ") != key.hash_patient("P-18")
    assert key.hash_patient("P-17") != other.hash_patient("P-17")
    assert key.hash_patient(None) == key.hash_patient("") == ""
    assert (tmp_path / "a.key").stat().st_mode & 0o077 == 0
    assert "secret" not in repr(key)


def test_a_key_is_made_once_and_never_seen_in_part(tmp_path: Path) -> None:
    """By threads that open a new store at the same moment."""
    for number in range(20):
        path, barrier = tmp_path / f"{number}.key", threading.Barrier(8)

        def read(path: Path = path, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait()
            return read_key(path).secret

        with ThreadPoolExecutor(8) as pool:
            assert len({one.result() for one in [pool.submit(read) for _ in range(8)]}) == 1
        assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o600, 1)
    assert len(list(tmp_path.iterdir())) == 20


def test_what_is_removed_as_it_comes_again_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who refused a copy of it, or sweeps."""
    files, touch = Archive(tmp_path), os.utime

    def touch_too_late(path: Path) -> None:
        path.unlink(missing_ok=True)
        touch(path)

    for name in ("first", "again"):
        with files.receiving() as path:
            path.write_bytes(b"an image")
            kept = files.path_of(files.keep(path))
        assert kept.exists(), name
        monkeypatch.setattr(archive.os, "utime", touch_too_late)
    files.close()


def test_a_lock_that_another_process_took_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Archive(tmp_path).close()
    lock, taken = archive.try_lock, []

    def remove_it_first(handle: int) -> bool:
        if not taken:
            taken.extend(path.unlink() for path in tmp_path.rglob("*.lock"))
        return lock(handle)

    monkeypatch.setattr(archive, "try_lock", remove_it_first)
    one = Archive(tmp_path)
    monkeypatch.setattr(archive, "try_lock", lock)
    other = Archive(tmp_path)
    assert taken
    assert other.is_alive(one.name)
    one.close()
    assert not other.is_alive(one.name)
    other.close()


def test_a_file_may_have_more_bytes_than_an_integer_of_the_database(store: Store) -> None:
    with store.begin() as session:
        study = Study(uid="1", patient="", received_at=now(), changed_at=now(), sums={})
        series = Series(uid="1.1", study=study, modality="CT")
        session.add(
            Instance(
                uid="1.1.1",
                series=series,
                sha256="0" * 64,
                format="dicom",
                n_bytes=1 << 33,
                n_frames=1,
                rows=1,
                columns=1,
                came_by="rest",
                received_at=now(),
            )
        )
    with store.read() as session:
        assert session.scalars(select(Instance.n_bytes)).one() == 1 << 33


def test_a_key_that_is_broken_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text("nonsense")
    with pytest.raises(SettingsError, match="no site key"):
        read_key(tmp_path / "a.key")
    assert (tmp_path / "a.key").read_text() == "nonsense"


def test_text_that_the_database_cannot_hold_is_no_fault_of_ours(store: Store) -> None:
    faults = []
    try:
        with store.read() as session:
            assert session.scalars(select(Study).where(Study.uid == "1\x002")).all() == []
    except ServiceError as fault:  # PostgreSQL knows no NUL in text
        faults.append((fault.kind, fault.status))
    assert faults in ([], [("not-understood", 422)])


def _lose_key(folder: Path, url: str | None, *patients: str) -> None:
    """A store with a study of each patient whose key is gone."""
    store = open_store(folder, url=url)
    with store.begin() as session:
        for number, patient in enumerate(patients):
            session.add(Study(uid=f"1.{number}", patient=patient, received_at=now(), changed_at=now(), sums={}))
    store.close()
    (folder / "site.key").unlink()


def test_a_key_that_is_lost_is_not_replaced(tmp_path: Path, url: str | None) -> None:
    _lose_key(tmp_path / "s", url, "", "P-17", read_key(tmp_path / "other.key").hash_patient("P-18"))
    with pytest.raises(SettingsError, match=r"site\.key is not there.*backup"):
        open_store(tmp_path / "s", url=url)
    assert not (tmp_path / "s" / "site.key").exists()


def test_a_key_by_which_nobody_was_hashed_is_made_anew(tmp_path: Path, url: str | None) -> None:
    _lose_key(tmp_path / "s", url, "", "P-17", "a patient's name")
    open_store(tmp_path / "s", url=url).close()
    assert (tmp_path / "s" / "site.key").exists()


def test_a_key_that_another_process_has_just_made_is_taken(tmp_path: Path) -> None:
    """It comes, with a study that rests on it, between the look for the key and that for studies."""
    made: list[SiteKey] = []

    def is_needed() -> bool:
        made.append(read_key(tmp_path / "a.key"))
        return True

    assert read_key(tmp_path / "a.key", is_needed=is_needed) == made[0]
