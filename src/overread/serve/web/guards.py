"""What stands before every route: names of this host alone, no page of another site, bounded bodies, safe headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers as Given
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from overread.serve.web.pages import is_for_a_person, refusal_page

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_SMALL_BYTES = 64_000
"""of a body that is no images: the whole of it is held in memory"""


class SameSite:
    """Refuses other names for this host, and changes that a page of another site asks a browser for.

    A page elsewhere may give its own name this host's address (DNS rebinding): then Host is not one of ours. hosts:
    none where everybody signs in, since a browser keeps a visit's cookie from other names.
    """

    def __init__(self, app: App, *, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            given = Given(scope=scope)
            host = _name(given.get("host", ""))
            if self.hosts and host not in self.hosts:
                words = f"The service is not known by this name. Open it as one of: {', '.join(self.hosts)}."
                await refuse(scope, 421, "wrong-host", words)(scope, receive, send)
                return
            if scope["method"] not in SAFE and not _is_own(given, host):
                words = "A page of another site asked for this. Open overread itself."
                await refuse(scope, 403, "other-site", words)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses a body that is too long, as it comes: what its sender says of its length is not believed.

    most_bytes: of images, which are written to the disk as they come.
    """

    def __init__(self, app: App, *, most_bytes: int) -> None:
        self.app, self.most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its bytes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most_bytes = self.most_bytes if _brings_images(scope) else _SMALL_BYTES
        said = Given(scope=scope).get("content-length", "0")
        if not (said.isascii() and said.isdigit()) or int(said) > most_bytes:
            await _too_large(scope, most_bytes)(scope, receive, send)
            return
        n_bytes, started = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > most_bytes:
                raise _TooLongError
            return message

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if n_bytes > most_bytes and not started:  # a route that took our error for a damaged body
                return
            started = True
            await send(message)

        with suppress(_TooLongError):
            await self.app(scope, counted, watched)
        if n_bytes > most_bytes and not started:
            await _too_large(scope, most_bytes)(scope, receive, send)


class Heads:
    """Answers HEAD like GET (RFC 9110 9.3.2): the server that runs us leaves out the body."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


class Headers:
    """Tells browsers to run nothing of others, to frame nothing, and to keep no data."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to what is sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                make_safe(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, with_headers)


def make_safe(headers: MutableHeaders) -> None:
    """Add to an answer's headers what `Headers` adds: an answer to a fault does not pass there."""
    headers["Content-Security-Policy"] = _POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Cache-Control", "no-store")


class _TooLongError(Exception):
    """More bytes came than are taken."""


def _brings_images(scope: Scope) -> bool:
    path: str = scope["path"].rstrip("/")
    is_for_images = path in ("/api/v1/images", "/dicom-web/studies") or path.startswith("/dicom-web/studies/")
    return scope["method"] == "POST" and is_for_images


def _too_large(scope: Scope, most_bytes: int) -> Response:
    size = f"{most_bytes // 1_000_000} MB" if most_bytes >= 1_000_000 else f"{most_bytes // 1000} KB"
    return refuse(scope, 413, "too-large", f"At most {size} are taken here.")


def _is_own(given: Given, host: str) -> bool:
    """True for a request of our own page, and of a program that is no browser."""
    site = given.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = given.get("origin")
    try:
        return origin is None or _name(urlsplit(origin).netloc) == host
    except ValueError:  # it is no address
        return False


def _name(netloc: str) -> str:
    """A host's name without its port."""
    if netloc.startswith("["):
        return netloc.split("]")[0] + "]"
    return netloc.rsplit(":", 1)[0].lower() if ":" in netloc else netloc.lower()


def refuse(scope: Scope, status: int, title: str, detail: str) -> Response:
    """An answer that says no: a page where a browser asks for one, else as RFC 9457 has it."""
    if is_for_a_person(request := Request(scope)):
        return refusal_page(request, status, detail)
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(content, status_code=status, media_type="application/problem+json")
