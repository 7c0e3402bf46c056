from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from overread.errors import ServiceError
from overread.serve import gathering as gathering_module
from overread.serve.gathering import Gathering


class _Slow:
    """Notes what it is given, and does the first only when it is let."""

    def __init__(self, bad: object = None, fault: Exception | None = None) -> None:
        self.groups: list[list[int]] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.bad, self.fault = bad, fault

    def __call__(self, given: Sequence[int]) -> list[int]:
        self.groups.append(list(given))
        self.began.set()
        self.go.wait(10)
        if self.fault is not None and self.bad in given:
            raise self.fault
        return [10 * one for one in given]


def _bring(work: _Slow, numbers: Sequence[int]) -> dict[int, object]:
    """Bring the first, and all others while it is being done; returns what came of each."""
    gathering: Gathering[int, int] = Gathering(work)
    found: dict[int, object] = {}

    def bring(number: int) -> None:
        try:
            found[number] = gathering.do(lambda: number)
        except Exception as fault:
            found[number] = fault

    threads = [threading.Thread(target=bring, args=(number,)) for number in numbers]
    threads[0].start()
    assert work.began.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(gathering._waiting) < len(numbers) - 1:
        threading.Event().wait(0.001)
    work.go.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return found


def test_what_comes_meanwhile_is_done_together() -> None:
    work = _Slow()
    assert _bring(work, range(40)) == {number: 10 * number for number in range(40)}
    assert [len(group) for group in work.groups] == [1, 16, 16, 7]


def test_one_at_fault_is_told_and_the_others_are_done() -> None:
    work = _Slow(bad=3, fault=ZeroDivisionError())
    found = _bring(work, range(6))
    assert isinstance(found.pop(3), ZeroDivisionError)
    assert found == {number: 10 * number for number in (0, 1, 2, 4, 5)}


def test_a_store_that_is_away_is_told_to_all_and_asked_once() -> None:
    work = _Slow(bad=3, fault=ServiceError("away", kind="store-away", status=503))
    found = _bring(work, range(6))
    assert found.pop(0) == 0
    assert {getattr(fault, "kind", "") for fault in found.values()} == {"store-away"}
    assert len(work.groups) == 2


def test_it_goes_on_after_a_fault() -> None:
    work = _Slow(bad=1, fault=KeyError("x"))
    work.go.set()
    gathering: Gathering[int, int] = Gathering(work)
    with pytest.raises(KeyError):
        gathering.do(lambda: 1)
    assert gathering.do(lambda: 2) == 20


def test_who_is_on_the_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering_module, "_PATIENCE_S", 10.0)
    work = _Slow()
    work.go.set()
    gathering: Gathering[int, int] = Gathering(work)
    is_preparing, one_waits = threading.Event(), threading.Event()
    found: list[int] = []

    def prepare() -> int:
        is_preparing.set()
        one_waits.wait(10)
        return 1

    other = threading.Thread(target=lambda: found.append(gathering.do(prepare)))
    other.start()
    assert is_preparing.wait(10)

    def come() -> int:
        threading.Timer(0.002, one_waits.set).start()
        return 2

    assert gathering.do(come) == 20
    other.join(10)
    assert found == [10]
    assert [sorted(group) for group in work.groups] == [[1, 2]]


def test_who_does_not_come_is_not_waited_for_long() -> None:
    work = _Slow()
    work.go.set()
    gathering: Gathering[int, int] = Gathering(work)
    is_preparing, is_over = threading.Event(), threading.Event()

    def fail() -> int:
        is_preparing.set()
        is_over.wait(30)
        raise ZeroDivisionError

    def bring() -> None:
        with pytest.raises(ZeroDivisionError):
            gathering.do(fail)

    other = threading.Thread(target=bring)
    other.start()
    assert is_preparing.wait(10)
    assert gathering.do(lambda: 2) == 20
    assert other.is_alive()
    is_over.set()
    other.join(10)
    assert work.groups == [[2]]
