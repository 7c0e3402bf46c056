from __future__ import annotations

import os
import time
from pathlib import Path

from sqlalchemy import select
from tests.serve.conftest import arrive, keep

from overread.serve.intake import Intake
from overread.serve.outbox import enqueue
from overread.serve.store import Store
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
    kept = store.files.path_of(keep(store, slices[0].read_bytes()))
    _two_days_old(kept)
    keep(store, slices[0].read_bytes())
    assert sweep(store) == 0
    assert kept.exists()
