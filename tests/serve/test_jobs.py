from __future__ import annotations

import itertools
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.serve.conftest import arrive

from overread.serve import jobs as jobs_of
from overread.serve.archive import no_room
from overread.serve.intake import Intake, Taken
from overread.serve.jobs import Jobs
from overread.serve.store import Store
from overread.serve.tables import Job


def test_files_of_an_archive_are_counted_once_however_often_it_is_begun(
    store: Store, slices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, path in enumerate(slices[:3]):
            archive.write(path, f"{number}.dcm")
    monkeypatch.setattr(jobs_of, "_PATIENCE_S", 0.1)
    jobs = Jobs(Intake(store))
    job_id = jobs.hand_in([arrive(store, tmp_path / "a.zip")], came_by="rest", who="me").job_id
    take, n_tries, until = jobs.intake.take, itertools.count(), time.monotonic() + 20

    def take_later(*args: Any, **more: Any) -> list[Taken]:
        if next(n_tries) < 3:
            raise no_room()
        return take(*args, **more)

    monkeypatch.setattr(jobs.intake, "take", take_later)
    jobs.start()
    with store.read() as session:
        while (job := session.get_one(Job, job_id)).state == "reading" and time.monotonic() < until:
            session.rollback()
            time.sleep(0.05)
    jobs.stop()
    assert (job.state, job.n_files, job.n_read) == ("read", 3, 3)


def test_an_archive_that_is_gone_keeps_no_other_waiting(store: Store, slices: list[Path], tmp_path: Path) -> None:
    """As after a commit of which the answer was lost, or in a folder that was brought back from a backup."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(slices[0], "a.dcm")
    jobs = Jobs(Intake(store))
    for _ in range(2):
        jobs.hand_in([arrive(store, tmp_path / "a.zip")], came_by="rest", who="me")
    in_turn = select(Job).order_by(Job.made_at)
    with store.read() as session:
        ((gone, _),) = session.scalars(in_turn.limit(1)).one().held
    store.files.path_of(gone).unlink()
    jobs.start()
    until = time.monotonic() + 20
    with store.read() as session:
        while session.scalars(select(Job.id).where(Job.state == "reading")).all() and time.monotonic() < until:
            session.rollback()
            time.sleep(0.1)
        told = [
            (job.state, len(job.instances), [one["message"] for one in job.problems])
            for job in session.scalars(in_turn)
        ]
    jobs.stop()
    assert told == [("read", 0, ["a.zip is no longer there. Send it again."]), ("read", 1, [])]
