"""The line of what is to be sent: nothing is lost, and nothing goes twice."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from sqlalchemy import select, update
from tests.serve.conftest import keep
from tests.serve.orthanc import PROGRAM, Orthanc, free_port

from overread.serve.outbox import Outbox, enqueue
from overread.serve.peers import has, parse_destination, send
from overread.serve.statuses import Sent, outcome_of
from overread.serve.store import Store
from overread.serve.tables import Sending, Study, now

_DIES_AFTER_SENDING = """
import os, signal, sys
from overread.serve.outbox import Outbox
from overread.serve.peers import parse_destination, send
from overread.serve.store import open_store

def send_and_die(path, to):
    print(send(path, parse_destination(to), own_aet="OVERREAD").outcome, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

store = open_store(sys.argv[1], url=sys.argv[2] or None)
Outbox(store=store, send=send_and_die, has=lambda path, to: False).send_due()
"""


def _put(store: Store, files: list[Path], *destinations: str) -> None:
    """Each file in line for each destination."""
    with store.begin() as session:
        study = session.scalars(select(Study)).first()
        if study is None:
            study = Study(uid="1.2", patient="", received_at=now(), changed_at=now(), sums={})
            session.add(study)
            session.flush()
        for path in files:
            uid, sha256 = str(pydicom.dcmread(path).SOPInstanceUID), keep(store, path.read_bytes())
            for destination in destinations:
                enqueue(session, study_id=study.id, uid=uid, kind="sc", sha256=sha256, destination=destination)


def _states(store: Store) -> list[tuple[str, int, str]]:
    with store.read() as session:
        return [
            (row.state, row.n_tries, row.last_said) for row in session.scalars(select(Sending).order_by(Sending.id))
        ]


def _make_due(store: Store) -> None:
    with store.begin() as session:
        session.execute(update(Sending).values(next_at=now()))


def _outbox(store: Store, answer: Callable[[Path, str], Sent], *, there: bool = False) -> tuple[Outbox, list[Any]]:
    asked: list[Any] = []

    def ask(path: Path, to: str) -> bool:
        asked.append(to)
        return there

    return Outbox(store=store, send=answer, has=ask), asked


def test_a_result_stands_in_line_once(store: Store, slices: list[Path]) -> None:
    _put(store, slices[:1], "PACS@127.0.0.1:1", "ARCHIVE@127.0.0.1:1")
    _put(store, slices[:1], "PACS@127.0.0.1:1")
    assert len(_states(store)) == 2
    outbox, asked = _outbox(store, lambda path, to: Sent(outcome="taken", said="0x0000 success"))
    assert outbox.send_due() == 2
    assert outbox.send_due() == 0
    assert {state for state, _, _ in _states(store)} == {"sent"}
    assert asked == []


def test_who_stops_waits_for_one_sending_and_not_for_all(store: Store, slices: list[Path]) -> None:
    _put(store, slices[:5], "PACS@127.0.0.1:1")
    outbox, _ = _outbox(store, lambda path, to: Sent(outcome="taken", said="0x0000 success"))

    def is_over() -> bool:
        return any(state == "sent" for state, _, _ in _states(store))

    assert outbox.send_due(is_over) == 1
    assert outbox.send_due() == 4


def test_one_try_finds_out_that_a_destination_is_away(store: Store, slices: list[Path]) -> None:
    _put(store, slices[:5], "AWAY@127.0.0.1:1", "PACS@127.0.0.1:1")
    tried: Counter[str] = Counter()

    def answer(path: Path, to: str) -> Sent:
        tried[to] += 1
        if to.startswith("AWAY"):
            return Sent(outcome="again", said="no connection", away=True)
        return Sent(outcome="taken", said="0x0000 success")

    outbox, _ = _outbox(store, answer)
    assert outbox.send_due() == 5
    assert tried == {"AWAY@127.0.0.1:1": 1, "PACS@127.0.0.1:1": 5}
    _make_due(store)
    assert outbox.send_due() == 0
    assert tried["AWAY@127.0.0.1:1"] == 2
    assert [n_tries for state, n_tries, _ in _states(store) if state == "waiting"] == [2, 0, 0, 0, 0]


def test_a_destination_that_hangs_holds_up_no_other(
    store: Store, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try finds that out, too; each further object of which nothing is heard doubles the wait for the rest."""
    monkeypatch.setattr("overread.serve.outbox.random.uniform", lambda low, high: 1.0)
    _put(store, slices[:4], "HANGS@127.0.0.1:1", "PACS@127.0.0.1:1")
    tried: list[str] = []

    def answer(path: Path, to: str) -> Sent:
        tried.append(to)
        return outcome_of(None if to.startswith("HANGS") else 0)

    line, asked = _outbox(store, answer)
    assert line.send_due() == 4
    assert Counter(tried) == {"HANGS@127.0.0.1:1": 1, "PACS@127.0.0.1:1": 4}
    assert [state for state, _, _ in _states(store)][::2] == ["sending", "waiting", "waiting", "waiting"]
    for wait in (5, 10, 20):
        with store.read() as session:
            waiting = session.scalars(select(Sending.next_at).where(Sending.state == "waiting")).all()
        assert {round(_seconds_until(at)) for at in waiting} == {wait}
        with store.begin() as session:
            session.execute(update(Sending).where(Sending.state == "waiting").values(next_at=now()))
        assert line.send_due() == 0
    assert (len(tried), asked) == (8, [])
    _make_due(store)
    assert line.send_due() == 0
    assert asked == ["HANGS@127.0.0.1:1"]


def test_objects_that_break_the_connection_hold_up_no_others_for_ever(
    store: Store, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overread.serve.outbox.FIRST_WAIT_S", 0.01)
    _put(store, slices[:6], "PACS@127.0.0.1:1")
    with store.read() as session:
        deadly = session.scalars(select(Sending.sha256).order_by(Sending.id)).all()[:2]

    def answer(path: Path, to: str) -> Sent:
        return outcome_of(None if path.name in deadly else 0)

    line, _ = _outbox(store, answer)
    until, n_taken = time.monotonic() + 20, 0
    while n_taken < 4 and time.monotonic() < until:
        n_taken += line.send_due()
    assert [state for state, _, _ in _states(store)] == ["sending"] * 2 + ["sent"] * 4


def _seconds_until(at: str) -> float:
    return (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()


def test_a_refusal_of_one_object_is_no_obstacle_for_the_others(store: Store, slices: list[Path]) -> None:
    _put(store, slices[:3], "PACS@127.0.0.1:1")
    outcomes = iter(["refused", "again", "taken"])
    outbox, _ = _outbox(store, lambda path, to: Sent(outcome=next(outcomes), said="said"))
    assert outbox.send_due() == 1
    assert [state for state, _, _ in _states(store)] == ["refused", "waiting", "sent"]
    _make_due(store)
    outbox, _ = _outbox(store, lambda path, to: Sent(outcome="taken", said="said"))
    assert outbox.send_due() == 1


@pytest.mark.parametrize("there", [True, False])
def test_what_may_have_come_is_asked_for_first(store: Store, slices: list[Path], there: bool) -> None:
    _put(store, slices[:1], "PACS@127.0.0.1:1")
    lost, asked = _outbox(store, lambda path, to: Sent(outcome="again", said="no answer", uncertain=True))
    assert (lost.send_due(), asked) == (0, [])
    assert _states(store)[0][0] == "sending"
    _make_due(store)
    n_sent = 0

    def answer(path: Path, to: str) -> Sent:
        nonlocal n_sent
        n_sent += 1
        return Sent(outcome="taken", said="0x0000 success")

    outbox, asked = _outbox(store, answer, there=there)
    assert outbox.send_due() == 1
    assert asked == ["PACS@127.0.0.1:1"]
    assert n_sent == (0 if there else 1)


def test_what_may_have_come_is_asked_for_until_there_is_an_answer(store: Store, slices: list[Path]) -> None:
    """Also when the destination was away in between, and could not be asked."""
    _put(store, slices[:1], "PACS@127.0.0.1:1")
    said = [outcome_of(None), Sent(outcome="again", said="no connection", away=True)]
    outbox, asked = _outbox(store, lambda path, to: said.pop(0))
    for _ in range(2):
        _make_due(store)
        assert outbox.send_due() == 0
    assert asked == ["PACS@127.0.0.1:1"]
    _make_due(store)
    outbox, asked = _outbox(store, lambda path, to: Sent(outcome="refused", said="HTTP 409"), there=True)
    assert outbox.send_due() == 1
    assert _states(store) == [("sent", 3, "it was there already")]


def test_two_processes_send_nothing_twice(store: Store, slices: list[Path]) -> None:
    _put(store, slices, *(f"PACS{number}@127.0.0.1:1" for number in range(4)))
    sent: list[tuple[str, str]] = []

    def answer(path: Path, to: str) -> Sent:
        sent.append((path.name, to))
        return Sent(outcome="taken", said="0x0000 success")

    threads = [threading.Thread(target=_outbox(store, answer)[0].send_due) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == len(set(sent)) == 48


def test_two_processes_that_hear_nothing_do_not_stop_each_other(
    store: Store, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overread.serve.outbox.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("overread.serve.outbox.LONGEST_WAIT_S", 0.001)
    _put(store, slices, "PACS@127.0.0.1:1")
    until, faults = time.monotonic() + 2, list[Exception]()

    def work() -> None:
        try:
            while time.monotonic() < until:
                _outbox(store, lambda path, to: outcome_of(None))[0].send_due(lambda: time.monotonic() > until)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert max(n_tries for _, n_tries, _ in _states(store)) > 1


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if not PROGRAM.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    made = Orthanc(tmp_path_factory.mktemp("pacs"), node_port=free_port())
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(("way", "number"), [("by_dimse", 0), ("by_web", 1)])
def test_killed_behind_its_sending_it_asks_and_does_not_send_again(
    store: Store, pacs: Orthanc, slices: list[Path], way: str, number: int
) -> None:
    destination = getattr(pacs, way)
    _put(store, [slices[number]], destination)
    url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
    words = [sys.executable, "-c", _DIES_AFTER_SENDING, str(store.folder), url]
    killed = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "taken\n")
    assert _states(store) == [("sending", 1, "")]

    def never(path: Path, to: str) -> Sent:
        raise AssertionError("it was sent again")

    outbox = Outbox(
        store=store, send=never, has=lambda path, to: has(path, parse_destination(to), own_aet="OVERREAD")
    )
    assert outbox.send_due() == 0
    outbox.release()
    assert outbox.send_due() == 1
    assert _states(store) == [("sent", 2, "it was there already")]
    assert len(pacs.find(SOPInstanceUID=str(pydicom.dcmread(slices[number]).SOPInstanceUID))) == 1


@pytest.mark.parametrize("way", ["by_dimse", "by_web"])
def test_a_real_pacs_says_what_it_has_and_has_not(pacs: Orthanc, slices: list[Path], way: str) -> None:
    to = parse_destination(getattr(pacs, way))
    number = 4 if way == "by_dimse" else 5
    assert not has(slices[number], to, own_aet="OVERREAD")
    assert send(slices[number], to, own_aet="OVERREAD").outcome == "taken"
    assert has(slices[number], to, own_aet="OVERREAD")


def test_a_real_pacs_that_knows_no_such_object_refuses_it_for_good(
    pacs: Orthanc, slices: list[Path], tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(slices[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"
    dataset.save_as(tmp_path / "private.dcm")
    sent = send(tmp_path / "private.dcm", parse_destination(pacs.by_dimse), own_aet="OVERREAD")
    assert (sent.outcome, sent.said) == ("refused", "it does not take this kind of object")


def test_trouble_with_a_destination_is_a_line_of_the_log_when_it_begins_changes_and_ends(
    store: Store, slices: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="overread")
    bad, good = "http://user:geheim@127.0.0.1:1/nope", "PACS@127.0.0.1:1"
    _put(store, slices[:2], bad, good)
    said = {good: "0x0000 success", bad: "HTTP 404"}

    def answer(path: Path, to: str) -> Sent:
        is_taken = said[to].endswith("success")
        return Sent(outcome="taken" if is_taken else "again", said=said[to])

    outbox, _ = _outbox(store, answer)
    heard = []
    for words in ("HTTP 404", "HTTP 404", "no connection", "0x0000 success"):
        said[bad] = words
        _make_due(store)
        outbox.send_due()
        heard.append([(record.levelname, record.getMessage()) for record in caplog.records])
        caplog.clear()
    assert heard == [
        [("WARNING", "http://127.0.0.1:1/nope takes no results: HTTP 404")],
        [],
        [("WARNING", "http://127.0.0.1:1/nope takes no results: no connection")],
        [("INFO", "http://127.0.0.1:1/nope takes results again")],
    ]


def test_a_result_that_is_refused_for_good_is_a_line_of_the_log(
    store: Store, slices: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    _put(store, slices[:2], "PACS@127.0.0.1:1")
    outbox, _ = _outbox(store, lambda path, to: Sent(outcome="refused", said="0xC000 cannot understand"))
    outbox.send_due()
    assert [record.getMessage() for record in caplog.records] == [
        "PACS@127.0.0.1:1 takes no results: 0xC000 cannot understand"
    ]
