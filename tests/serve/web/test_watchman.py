from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from overread.errors import ServiceError
from overread.serve import accounts
from overread.serve.accounts import add_account, end_account
from overread.serve.logs import JsonLines
from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.web import watchman
from overread.serve.web.app import make_app

OPEN = {("GET", "/healthz"), ("GET", "/sign-in"), ("POST", "/api/v1/visits")}


@pytest.fixture
def guarded(model_folder: Path, tmp_path: Path) -> Iterator[tuple[TestClient, str]]:
    """An application that asks for tokens, and a token."""
    service = Service(open_store(tmp_path / "store"), ServedModel(model_folder))
    with service.store.begin() as session:
        token = add_account(session, "dr-lee", "reader")
    with TestClient(make_app(service, asks=True), base_url="http://127.0.0.1") as client:
        yield client, token


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_no_route_answers_without_a_token(guarded: tuple[TestClient, str]) -> None:
    client, _ = guarded
    seen = 0
    for path, verbs in client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        for verb in verbs:
            _assert_closed(client, verb.upper(), path)
            seen += 1
    for path in ("/", "/about", "/studies/1.2", "/openapi.json", "/metrics", "/docs", "/nothing", "//", "/static"):
        for verb in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"):
            _assert_closed(client, verb, path)
    assert seen >= 10


def _assert_closed(client: TestClient, verb: str, path: str) -> None:
    if (verb, path) in OPEN:
        return
    filled = path.replace("{uid}", "1.2.3").replace("{frame}", "0").replace("{job_id}", "0" * 32)
    response = client.request(verb, filled, follow_redirects=False)
    is_sent_away = response.status_code == 303 and response.headers["location"].startswith("/sign-in")
    assert response.status_code == 401 or is_sent_away, (verb, path, response.status_code)


@pytest.mark.parametrize("address", ["/", "/?state=waiting&page=2", "/studies/1.2", "/nothing", "/docs"])
def test_a_person_is_sent_to_sign_in_and_on_to_where_they_were_going(
    guarded: tuple[TestClient, str], address: str
) -> None:
    response = guarded[0].get(address, headers={"Accept": "text/html"}, follow_redirects=False)
    assert response.status_code == 303
    assert parse_qs(urlsplit(response.headers["location"]).query) == {"next": [address]}
    for program in ({}, {"Accept": "application/json"}):
        assert guarded[0].get(address, headers=program, follow_redirects=False).status_code == 401


def test_a_token_opens(guarded: tuple[TestClient, str]) -> None:
    client, token = guarded
    assert client.get("/api/v1/model", headers=_bearer(token)).status_code == 200
    assert client.get("/api/v1/me", headers=_bearer(token)).json()["name"] == "dr-lee"
    assert client.get("/metrics", headers=_bearer(token)).text.startswith("# HELP overread_")
    for wrong in (f"{token}x", "", "Bearer", "ovr_x_y"):
        assert client.get("/api/v1/model", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401


def test_a_page_signs_in_and_sends_its_word_along(guarded: tuple[TestClient, str]) -> None:
    client, token = guarded
    response = client.post("/api/v1/visits", json={"token": token})
    assert response.status_code == 201
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    csrf = response.json()["csrf"]
    page = client.get("/")
    assert page.status_code == 200
    assert f'content="{csrf}"' in page.text
    said = {"study": "1.2", "verdict": "agree"}
    assert client.post("/api/v1/readings", json=said).status_code == 403
    assert client.post("/api/v1/readings", json=said, headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.post("/api/v1/readings", json=said, headers={"X-CSRF-Token": csrf}).status_code == 404
    assert client.delete("/api/v1/visits", headers={"X-CSRF-Token": csrf}).status_code == 204
    assert client.get("/").status_code == 401


def test_guessing_is_slowed_down(guarded: tuple[TestClient, str]) -> None:
    client, _ = guarded
    answers = [client.post("/api/v1/visits", json={"token": "ovr_x"}).status_code for _ in range(14)]
    assert answers[:10] == [401] * 10
    assert answers[-1] == 429


def test_a_person_who_asks_too_often_is_told_on_a_page(model_folder: Path, tmp_path: Path) -> None:
    service = Service(open_store(tmp_path / "store"), ServedModel(model_folder))
    with TestClient(make_app(service, asks=True, per_s=1), base_url="http://127.0.0.1") as client:
        answers = [client.get("/sign-in", headers={"Accept": "text/html"}) for _ in range(5)]
        program = client.get("/sign-in")
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert answers[-1].headers["content-type"] == "text/html; charset=utf-8"
    assert "Too many requests. Come again in 1 s." in answers[-1].text
    assert answers[-1].headers["retry-after"] == "1"
    assert service.model.name not in answers[-1].text
    assert (program.status_code, program.headers["content-type"]) == (429, "application/problem+json")


def test_a_visitor_is_told_on_a_page_that_the_database_is_away(
    guarded: tuple[TestClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ServiceError("The database does not answer. Try again.", kind="store", status=503)

    client, token = guarded
    client.post("/api/v1/visits", json={"token": token})
    monkeypatch.setattr(watchman, "who_visits", away)
    for accept, kind in (("text/html", "text/html; charset=utf-8"), ("*/*", "application/problem+json")):
        response = client.get("/", headers={"Accept": accept})
        assert (response.status_code, response.headers["content-type"]) == (503, kind)
        assert "The database does not answer. Try again." in response.text
        assert response.headers["retry-after"] == "5"


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(
    guarded: tuple[TestClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, token = guarded
    monkeypatch.setattr(accounts, "_TRUSTED_S", -1.0)  # nothing that was verified is believed the next time
    assert client.get("/api/v1/me", headers=_bearer(token)).status_code == 200
    runs = _watch_argon2(monkeypatch)
    answers = [client.get("/api/v1/me", headers=_bearer(f"ovr_{number}")) for number in range(14)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 4
    assert len(runs) == 10
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    assert client.get("/api/v1/me", headers=_bearer(token)).status_code == 200
    with client.app.state.service.store.begin() as session:  # type: ignore[attr-defined]
        end_account(session, "dr-lee")
    answers = [client.get("/api/v1/me", headers=_bearer(token)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]


def test_two_tokens_are_verified_at_once_and_one_that_many_show_is_once_or_twice(
    guarded: tuple[TestClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of argon2 takes 64 MiB."""
    client, token = guarded
    runs = _watch_argon2(monkeypatch, seconds=0.05)
    with ThreadPoolExecutor(16) as pool:
        shown = [f"ovr_{number}" for number in range(6)] + [token] * 16
        codes = list(pool.map(lambda one: client.get("/api/v1/me", headers=_bearer(one)).status_code, shown))
    assert codes == [401] * 6 + [200] * 16
    assert max(runs) == 2
    assert len(runs) <= 8


def test_who_signs_in_keeps_nobody_from_writing(
    guarded: tuple[TestClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, token = guarded
    store = client.app.state.service.store  # type: ignore[attr-defined]
    wrote = []

    def write() -> None:
        with store.begin():
            pass

    def verify(hasher: PasswordHasher, *words: str) -> bool:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(5)
        wrote.append(not thread.is_alive())
        return verified(hasher, *words)

    verified = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", verify)
    assert client.post("/api/v1/visits", json={"token": token}).status_code == 201
    assert wrote == [True]


def _watch_argon2(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0) -> list[int]:
    """A list that gets, with each verification, how many go on at once."""
    runs: list[int] = []
    lock, verified, n_now = threading.Lock(), PasswordHasher.verify, 0

    def verify(hasher: PasswordHasher, *words: str) -> bool:
        nonlocal n_now
        with lock:
            n_now += 1
            runs.append(n_now)
        try:
            time.sleep(seconds)
            return verified(hasher, *words)
        finally:
            with lock:
                n_now -= 1

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    return runs


def test_other_sites_are_refused_with_a_token_too(guarded: tuple[TestClient, str]) -> None:
    client, token = guarded
    headers = {**_bearer(token), "Origin": "https://evil.example"}
    assert client.post("/api/v1/readings", json={}, headers=headers).status_code == 403


def test_another_reader_does_not_see_a_job(guarded: tuple[TestClient, str], pictures: list[Path]) -> None:
    client, token = guarded
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    with service.store.begin() as session:
        other, admin = add_account(session, "other", "reader"), add_account(session, "chief", "admin")
    response = client.post(
        "/api/v1/images?wait=30", files={"files": pictures[0].read_bytes()}, headers=_bearer(token)
    )
    job = response.headers["Location"]
    codes = [client.get(job, headers=_bearer(one)).status_code for one in (token, other, admin)]
    assert codes == [200, 404, 200]


def test_the_log_holds_no_uid_and_no_words_of_files(guarded: tuple[TestClient, str]) -> None:
    client, token = guarded
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonLines().format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("overread.serve.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        client.get("/api/v1/studies/1.2.840.99?search=Miller", headers=_bearer(token))
    finally:
        logger.removeHandler(handler)
    (line,) = (json.loads(line) for line in lines)
    assert (line["route"], line["status"], line["who"]) == ("/api/v1/studies/{uid}", 404, "dr-lee")
    assert "840" not in lines[0]
    assert "Miller" not in lines[0]
    try:
        raise ValueError("Miller^Anna")
    except ValueError:
        record = logging.getLogger().makeRecord("x", 40, "f", 1, "fault", (), exc_info=__import__("sys").exc_info())
    told = JsonLines().format(record)
    assert "Miller" not in told
    assert json.loads(told)["fault"] == "ValueError"


def test_headers_keep_other_scripts_out(guarded: tuple[TestClient, str]) -> None:
    client, _ = guarded
    headers: httpx.Headers = client.get("/sign-in").headers  # type: ignore[assignment]
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
