from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from overread.model.internet import Internet


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_file_that_is_there_can_be_had(serve: Callable[[dict[str, bytes]], str], cut_off: Path) -> None:
    assert Internet().why_not(serve({"/file": b"data"}) + "/file") is None


def test_a_file_that_is_not_there_is_the_file_s_fault_alone(
    serve: Callable[[dict[str, bytes]], str], cut_off: Path
) -> None:
    internet, address = Internet(), serve({"/file": b"data"})
    assert "answered 404" in str(internet.why_not(f"{address}/other"))
    assert internet.why_not(f"{address}/file") is None


def test_a_refused_call_costs_no_time(cut_off: Path) -> None:
    began = time.monotonic()
    assert "cannot be reached" in str(Internet().why_not("http://127.0.0.1:9/file"))
    assert time.monotonic() - began < 1


def test_a_silent_server_costs_its_time_once(silent: str, cut_off: Path) -> None:
    internet = Internet(timeout_s=0.5)
    began = time.monotonic()
    first, again = (internet.why_not(f"{silent}/{file}") for file in "ab")
    assert 0.4 < time.monotonic() - began < 1.5
    assert first == again
    assert first is not None


def test_a_second_trial_can_find_what_the_first_did_not(
    serve: Callable[[dict[str, bytes]], str], cut_off: Path
) -> None:
    def refuse() -> None:
        raise ValueError("certificate not known\nmore")

    why = Internet().why_not(serve({"/file": b"data"}) + "/file", also=refuse)
    assert why is not None
    assert why.endswith("cannot be reached (certificate not known)")


def test_two_slow_trials_cost_the_time_of_one(silent: str, cut_off: Path) -> None:
    began = time.monotonic()
    why = Internet(timeout_s=0.5).why_not(f"{silent}/file", also=lambda: time.sleep(2))
    assert time.monotonic() - began < 1
    assert why is not None


def test_an_address_without_sense_is_a_reason_and_no_crash(cut_off: Path) -> None:
    assert Internet().why_not("http://127.0.0.1:9/with space") is not None
    assert Internet().why_not("no-such-scheme://x/") is not None
