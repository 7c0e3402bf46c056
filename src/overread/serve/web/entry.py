"""Signing in and out, and who one is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from overread.errors import ServiceError
from overread.serve.accounts import NOBODY, VISIT_HOURS, Begun, Gate, Person, begin_visit, end_visit
from overread.serve.store import Store

COOKIE = "overread"
router = APIRouter(prefix="/api/v1", tags=["accounts"])


class Shown(BaseModel):
    """A token."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(max_length=128)


@router.post("/visits", status_code=201)
async def sign_in(request: Request, response: Response, shown: Shown) -> dict[str, Any]:
    """Begin a visit with a token: the answer sets a cookie, and holds what changes must send along."""
    store: Store = request.app.state.service.store
    gate: Gate = request.app.state.gate

    def find() -> Person | None:
        with store.read() as session:
            return gate.who_is(session, shown.token.strip())

    def begin(person: Person) -> Begun:
        with store.begin() as session:
            return begin_visit(session, person)

    async with gate.turns:
        person = await run_in_threadpool(find)
    if person is None:
        raise ServiceError("The token is not known here. Ask for another.", kind="unknown-token", status=401)
    begun = await run_in_threadpool(begin, person)
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=VISIT_HOURS * 3600,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return {"name": begun.person.name, "role": begun.person.role, "csrf": begun.person.csrf}


@router.delete("/visits", status_code=204)
def sign_out(request: Request, response: Response) -> None:
    """End the visit."""
    store: Store = request.app.state.service.store
    with store.begin() as session:
        end_visit(session, request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE)


@router.get("/me")
def me(request: Request) -> dict[str, Any]:
    """Who asks."""
    person: Person = getattr(request.state, "person", NOBODY)
    return {
        "name": person.name,
        "role": person.role,
        "csrf": person.csrf,
        "authentication": person.by != "nobody",
    }
