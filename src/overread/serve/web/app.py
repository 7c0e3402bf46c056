"""The application: the routes, and what stands before them."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from overread.errors import ImageError, OverreadError, ServiceError
from overread.serve.service import Service
from overread.serve.web import api, pages
from overread.serve.web.guards import BodyLimit, Headers, SameSite

VERSION = version("overread")
_log = logging.getLogger(__name__)


def make_app(service: Service, *, hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")) -> FastAPI:
    """The application before a service. hosts: the names that a browser may know it by."""

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
        lifespan=alive,
    )
    app.state.service = service
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.HERE / "static"), name="static")
    app.add_api_route("/healthz", health, tags=["service"])
    app.add_middleware(BodyLimit, most_bytes=service.job_settings.max_upload_mb * 1_000_000)
    app.add_middleware(SameSite, hosts=tuple(hosts))
    app.add_middleware(Headers)
    app.add_exception_handler(OverreadError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(Exception, _fail)
    return app


def health(request: Request) -> dict[str, str]:
    """Whether the service and its database answer."""
    service: Service = request.app.state.service
    with service.store.read() as session:
        session.connection()
    return {"status": "ok", "version": VERSION}


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """An error as RFC 9457 has it."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(content), status_code=status, media_type="application/problem+json")


async def _refuse(_: Request, fault: Exception) -> Response:
    if isinstance(fault, ServiceError):
        response = problem(fault.status, fault.kind, str(fault))
        if fault.status == 503:
            response.headers["Retry-After"] = "5"
        return response
    if isinstance(fault, RequestValidationError):
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors()[:5]]
        return problem(422, "not-understood", "; ".join(wrong))
    if isinstance(fault, HTTPException):
        return problem(
            fault.status_code,
            "refused",
            str(fault.detail),
        )
    kind = fault.kind if isinstance(fault, ImageError) else "refused"
    return problem(422, kind, str(fault))


async def _fail(_: Request, fault: Exception) -> Response:
    reference = secrets.token_hex(6)
    _log.error("fault %s: %s", reference, type(fault).__name__, exc_info=fault)
    return problem(500, "fault", f"This is a fault in overread. The log has more under {reference}.")
