"""The application: the routes, and what stands before them."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from overread.errors import ImageError, OverreadError, ServiceError
from overread.serve.accounts import Gate
from overread.serve.service import Service
from overread.serve.web import api, dicomweb, entry, pages, stow_in, wado_frames, wado_rendered
from overread.serve.web.guards import BodyLimit, Headers, Heads, SameSite, make_safe
from overread.serve.web.metrics import Metrics, Told
from overread.serve.web.watchman import Pace, Watchman

VERSION = version("overread")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/problem+json": {"schema": {"type": "object"}}}}
    for status, words in (("4XX", "refused, and why"), ("5XX", "not now, or a fault of overread"))
}
_ARCHIVED = re.compile(r"\b[0-9a-f]{64}\b")
"""a file's name in the archive, which tells nobody anything"""
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HUNG_UP = 499
"""not of a standard's, but known: the client closed the request"""
_log = logging.getLogger(__name__)


def make_app(service: Service, *, asks: bool = False, per_s: float = 200.0) -> FastAPI:
    """The application before a service.

    asks: whether everybody must show a token; else the service answers to this machine's own names alone. per_s:
    requests that one address may make, in the long run.
    """

    @asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="overread",
        version=VERSION,
        summary="A classifier of medical images, for research use. Not a medical device.",
        docs_url=None,  # its script comes from another host, which a hospital does not reach
        redoc_url=None,
        responses=_PROBLEMS,
        lifespan=alive,
    )
    metrics = Metrics()
    app.state.service, app.state.gate, app.state.metrics = service, Gate(), metrics
    service.on_answer = metrics.answers.inc
    app.include_router(api.router)
    app.include_router(pages.router)
    app.include_router(dicomweb.router)
    app.include_router(wado_frames.router)
    app.include_router(wado_rendered.router)
    app.include_router(stow_in.router)
    app.mount("/static", StaticFiles(directory=pages.HERE / "static"), name="static")
    app.include_router(entry.router)
    app.add_api_route("/healthz", health, tags=["service"])
    app.add_api_route("/metrics", show_metrics, tags=["service"], response_class=PlainTextResponse)
    app.add_middleware(BodyLimit, most_bytes=service.job_settings.max_upload_mb * 1_000_000)
    app.add_middleware(Watchman, store=service.store, gate=app.state.gate, is_on=asks)
    app.add_middleware(SameSite, hosts=() if asks else _OWN_NAMES)
    app.add_middleware(Pace, per_s=per_s)
    app.add_middleware(Told, metrics=metrics)
    app.add_middleware(Headers)
    app.add_middleware(Heads)
    app.add_exception_handler(OverreadError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(ClientDisconnect, _hung_up)
    app.add_exception_handler(Exception, _fail)
    return app


def health(request: Request) -> dict[str, str]:
    """Whether the service and its database answer."""
    service: Service = request.app.state.service
    with service.store.read() as session:
        session.connection()
    return {"status": "ok", "version": VERSION}


def show_metrics(request: Request) -> Response:
    """Counts, for Prometheus."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(request.app.state.service.store), media_type="text/plain; version=0.0.4")


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """An error as RFC 9457 has it."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(content), status_code=status, media_type="application/problem+json")


async def _refuse(request: Request, fault: Exception) -> Response:
    status, kind, words = _in_words(fault)
    if pages.is_for_a_person(request):
        if isinstance(fault, RequestValidationError):
            words = f"The address is not understood: {', '.join(str(one['loc'][-1]) for one in fault.errors()[:5])}."
        response = pages.problem_page(request, status, words)
    else:
        response = problem(status, kind, words)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _in_words(fault: Exception) -> tuple[int, str, str]:
    """The status, the kind, and what to say, of what is refused."""
    if isinstance(fault, ServiceError):
        return fault.status, fault.kind, str(fault)
    if isinstance(fault, RequestValidationError):
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors()[:5]]
        return 422, "not-understood", "; ".join(wrong)
    if isinstance(fault, HTTPException):
        is_nothing = fault.status_code == 404
        return fault.status_code, "refused", "There is nothing at this address." if is_nothing else str(fault.detail)
    words = _ARCHIVED.sub("The object", str(fault))
    return 422, fault.kind if isinstance(fault, ImageError) else "refused", words


async def _hung_up(_: Request, __: Exception) -> Response:
    """Who sent has gone before the end: nobody hears this, and the log tells it from a fault."""
    return problem(_HUNG_UP, "hung-up", "The connection was closed before the request was whole.")


async def _fail(request: Request, fault: Exception) -> Response:
    reference = secrets.token_hex(6)
    _log.error("fault %s: %s", reference, type(fault).__name__, exc_info=fault)
    words = f"This is a fault in overread. The log has more under {reference}."
    for_person = pages.is_for_a_person(request)
    response = pages.problem_page(request, 500, words) if for_person else problem(500, "fault", words)
    make_safe(response.headers)
    return response
