from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.serve.conftest import arrive, keep

from overread.serve import sweeping
from overread.serve.intake import Intake
from overread.serve.outbox import enqueue
from overread.serve.store import Store, open_store
from overread.serve.sweeping import sweep
from overread.serve.tables import Job, Step, Study, now


def _two_days_old(path: Path) -> Path:
    os.utime(path, (time.time() - 2 * 86_400,) * 2)
    return path


def test_what_nothing_knows_of_is_removed_after_a_day(store: Store, slices: list[Path]) -> None:
    files = store.files
    Intake(store).take([arrive(store, path) for path in slices[:2]], came_by="rest", who="me")
    archive, forgotten = (files.hold(arrive(store, path).path) for path in slices[2:4])
    result, young, old = (keep(store, content) for content in (b"a result", b"of a moment ago", b"left by a kill"))
    with store.begin() as session:
        study = session.scalars(select(Study)).one()
        enqueue(session, study_id=study.id, uid="1.2", kind="sr", sha256=result, destination="PACS@127.0.0.1:1")
        held = [[archive, "a.zip"]]
        both = {"account": "me", "came_by": "rest", "instances": [], "problems": [], "made_at": now()}
        session.add(Job(id="0" * 32, held=held, state="reading", **both))
    before = {path for path in files.folder.rglob("*") if path.is_file()}
    for path in before - {files.path_of(young)}:
        _two_days_old(path)
    assert sweep(store) == 2
    gone = {files.path_of(forgotten), files.path_of(old)}
    assert before - {path for path in files.folder.rglob("*") if path.is_file()} == gone
    with store.read() as session:
        (step,) = session.scalars(select(Step).where(Step.did == "swept"))
    assert step.details["files"] == sorted(path.name for path in gone)
    assert sweep(store) == 0


def test_what_comes_again_is_young_again(store: Store, slices: list[Path]) -> None:
    Intake(store).take([arrive(store, slices[1])], came_by="rest", who="me")
    kept = store.files.path_of(keep(store, slices[0].read_bytes()))
    _two_days_old(kept)
    keep(store, slices[0].read_bytes())
    assert sweep(store) == 0
    assert kept.exists()


def test_files_of_other_rows_are_left_alone(tmp_path: Path, postgres: Callable[..., str], slices: list[Path]) -> None:
    """Who gives a folder with another store's database loses nothing."""
    stores = [open_store(tmp_path / name, url=postgres()) for name in ("one", "other")]
    for store, path in zip(stores, slices, strict=False):
        Intake(store).take([arrive(store, path)], came_by="rest", who="me")
        store.close()
    mixed = open_store(tmp_path / "one", url=stores[1].engine.url.render_as_string(hide_password=False))
    (image,) = (path for path in mixed.files.folder.glob("[0-9a-f][0-9a-f]/*"))
    _two_days_old(image)
    assert sweep(mixed) == 0
    assert image.exists()
    mixed.close()


def test_what_another_process_sweeps_meanwhile_stops_nobody(
    store: Store, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    Intake(store).take([arrive(store, slices[0])], came_by="rest", who="me")
    old = [_two_days_old(store.files.path_of(keep(store, content))) for content in (b"left", b"by a kill")]
    find = sweeping._unknown

    def find_late(session: Session, names: Iterable[str]) -> set[str]:
        old[0].unlink(missing_ok=True)
        return find(session, names)

    monkeypatch.setattr(sweeping, "_unknown", find_late)
    assert sweep(store) == 1
    assert not old[1].exists()
