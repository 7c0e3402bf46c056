"""Lets nobody past who has not shown a token: every route is guarded, but for a short list."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from urllib.parse import quote

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers as Given
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse

from overread.errors import ServiceError
from overread.serve.accounts import NOBODY, Gate, Person, who_visits
from overread.serve.store import Store
from overread.serve.web.entry import COOKIE
from overread.serve.web.guards import SAFE, App, Receive, Scope, Send, refuse
from overread.serve.web.pages import is_for_a_person

OPEN = (("GET", "/healthz"), ("GET", "/sign-in"), ("POST", "/api/v1/visits"))
_MOST_KEPT = 10_000


class Watchman:
    """Finds out who asks, before anything else sees the request."""

    def __init__(self, app: App, *, store: Store, gate: Gate, is_on: bool) -> None:
        self.app, self.store, self.gate, self.is_on = app, store, gate, is_on

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
                person = await run_in_threadpool(self._find, given)
            except ServiceError as fault:
                await refuse(fault.status, fault.kind, str(fault))(scope, receive, send)
                return
            if person is None:
                await self._turn_away(scope, receive, send)
                return
            if person.by == "visit" and method not in SAFE and not _same(given.get("x-csrf-token"), person.csrf):
                words = "The request lacks the visit's X-CSRF-Token. Load the page again."
                await refuse(403, "csrf", words)(scope, receive, send)
                return
            state["person"] = person
        await self.app(scope, receive, send)

    def _find(self, given: Given) -> Person | None:
        kind, _, token = given.get("authorization", "").partition(" ")
        with self.store.read() as session:
            if kind.lower() == "bearer":
                return self.gate.who_is(session, token.strip())
            cookie = cookie_parser(given.get("cookie", "")).get(COOKIE)
            return who_visits(session, cookie) if cookie else None

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_for_a_person(request := Request(scope)):
            wanted = quote(f"{request.url.path}?{request.url.query}".rstrip("?"))
            await RedirectResponse(f"/sign-in?next={wanted}", status_code=303)(scope, receive, send)
            return
        response = refuse(401, "no-token", "Show a token: Authorization: Bearer ovr_... (overread token add NAME).")
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)


class Pace:
    """Who asks too often waits: a bucket for each address that time fills again, a small one for signing in."""

    def __init__(self, app: App, *, per_s: float, sign_ins_a_minute: float = 10) -> None:
        self.app = app
        self._all = _Buckets(rate=per_s, depth=4 * per_s)
        self._sign_ins = _Buckets(rate=sign_ins_a_minute / 60, depth=sign_ins_a_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say when to come again."""
        if scope["type"] == "http":
            address = (scope.get("client") or ("", 0))[0]
            is_sign_in = (scope["method"], scope["path"]) == ("POST", "/api/v1/visits")
            wait_s = (self._sign_ins if is_sign_in else self._all).take(address)
            if wait_s:
                response = refuse(429, "too-often", f"Too many requests. Come again in {wait_s:.0f} s.")
                response.headers["Retry-After"] = f"{wait_s:.0f}"
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _Buckets:
    def __init__(self, *, rate: float, depth: float) -> None:
        self.rate, self.depth = rate, depth
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> float:
        """Take one; returns 0, or in how many seconds there will be one again."""
        at = time.monotonic()
        left, before = self._left.pop(who, (self.depth, at))
        left = min(self.depth, left + (at - before) * self.rate)
        wait_s = 0.0 if left >= 1 else max(1.0, (1 - left) / self.rate)
        self._left[who] = (left if wait_s else left - 1, at)
        while len(self._left) > _MOST_KEPT:
            self._left.popitem(last=False)
        return wait_s


def _same(given: str | None, wanted: str) -> bool:
    return secrets.compare_digest((given or "").encode("utf-8", "replace"), wanted.encode())
