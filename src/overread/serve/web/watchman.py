"""Lets nobody past who has not shown a token: every route is guarded, but for a short list."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import quote

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session
from starlette.datastructures import Headers as Given
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response

from overread.errors import ServiceError
from overread.serve.accounts import NOBODY, Gate, Person, who_visits
from overread.serve.store import Store
from overread.serve.web.entry import COOKIE
from overread.serve.web.guards import SAFE, App, Receive, Scope, Send, refuse
from overread.serve.web.pages import is_for_a_person

OPEN = (("GET", "/healthz"), ("GET", "/sign-in"), ("POST", "/api/v1/visits"))
_MOST_KEPT = 10_000
_GUESSES_A_MINUTE = 10.0
"""of tokens, from one address: wrong ones of programs, and all that are shown to sign in"""


class Watchman:
    """Finds out who asks, before anything else sees the request."""

    def __init__(self, app: App, *, store: Store, gate: Gate, is_on: bool) -> None:
        self.app, self.store, self.gate, self.is_on = app, store, gate, is_on
        self._refused = _Buckets(rate=_GUESSES_A_MINUTE / 60, depth=_GUESSES_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with the person behind it, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        path, method = scope["path"], scope["method"]
        given = Given(scope=scope)
        if not self.is_on:
            state["person"] = NOBODY
        elif (method, path) not in OPEN and not path.startswith("/static/"):
            try:
                person = await self._find(given, _address(scope))
            except _TooOftenError as fault:
                await _come_again(scope, fault.wait_s)(scope, receive, send)
                return
            except ServiceError as fault:
                response = refuse(scope, fault.status, fault.kind, str(fault))
                if fault.status == 503:
                    response.headers["Retry-After"] = "5"
                await response(scope, receive, send)
                return
            if person is None:
                await self._turn_away(scope, receive, send)
                return
            if person.by == "visit" and method not in SAFE and not _same(given.get("x-csrf-token"), person.csrf):
                words = "The request lacks the visit's X-CSRF-Token. Load the page again."
                await refuse(scope, 403, "csrf", words)(scope, receive, send)
                return
            state["person"] = person
        await self.app(scope, receive, send)

    async def _find(self, given: Given, address: str) -> Person | None:
        kind, _, token = given.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.gate.recall(token.strip()) or await self._verify(token.strip(), address)
        cookie = cookie_parser(given.get("cookie", "")).get(COOKIE)
        return await run_in_threadpool(self._ask, who_visits, cookie) if cookie else None

    async def _verify(self, token: str, address: str) -> Person | None:
        """The person with this token. An address from which wrong ones came waits, but with one that was right."""
        async with self.gate.turns:
            wait_s = self._refused.wait_s(address)
            if wait_s and not self.gate.was_right(token):
                raise _TooOftenError(wait_s)
            person = await run_in_threadpool(self._ask, self.gate.who_is, token)
            if person is None:
                self._refused.take(address)
            return person

    def _ask(self, who: Callable[[Session, str], Person | None], shown: str) -> Person | None:
        with self.store.read() as session:
            return who(session, shown)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_for_a_person(request := Request(scope)):
            wanted = quote(f"{request.url.path}?{request.url.query}".rstrip("?"))
            await RedirectResponse(f"/sign-in?next={wanted}", status_code=303)(scope, receive, send)
            return
        words = "Show a token: Authorization: Bearer ovr_... (overread token add NAME)."
        response = refuse(scope, 401, "no-token", words)
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)


class Pace:
    """Who asks too often waits: a bucket for each address that time fills again, a small one for signing in."""

    def __init__(self, app: App, *, per_s: float) -> None:
        self.app = app
        self._all = _Buckets(rate=per_s, depth=4 * per_s)
        self._sign_ins = _Buckets(rate=_GUESSES_A_MINUTE / 60, depth=_GUESSES_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say when to come again."""
        if scope["type"] == "http":
            is_sign_in = (scope["method"], scope["path"]) == ("POST", "/api/v1/visits")
            wait_s = (self._sign_ins if is_sign_in else self._all).take(_address(scope))
            if wait_s:
                await _come_again(scope, wait_s)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _Buckets:
    def __init__(self, *, rate: float, depth: float) -> None:
        self.rate, self.depth = rate, depth
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """0 where there is one to take, or in how many seconds there will be."""
        at = time.monotonic()
        left, before = self._left.pop(who, (self.depth, at))
        left = min(self.depth, left + (at - before) * self.rate)
        self._left[who] = (left, at)
        while len(self._left) > _MOST_KEPT:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else max(1.0, (1 - left) / self.rate)

    def take(self, who: str) -> float:
        """Take one, where there is one; returns 0, or in how many seconds there will be."""
        wait_s = self.wait_s(who)
        if not wait_s:
            left, at = self._left[who]
            self._left[who] = (left - 1, at)
        return wait_s


class _TooOftenError(Exception):
    """Who asks has to wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


def _come_again(scope: Scope, wait_s: float) -> Response:
    response = refuse(scope, 429, "too-often", f"Too many requests. Come again in {wait_s:.0f} s.")
    response.headers["Retry-After"] = f"{wait_s:.0f}"
    return response


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("", 0))[0])


def _same(given: str | None, wanted: str) -> bool:
    return secrets.compare_digest((given or "").encode("utf-8", "replace"), wanted.encode())
