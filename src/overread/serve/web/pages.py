"""The pages that a reader sees: the work list, a study with its images, and the model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from overread.predict import UNLIKE, caveat, percent
from overread.report.colours import heat_colours
from overread.serve.web import views
from overread.serve.web.api import Since, Uid, service_of

HERE = Path(__file__).parent
A_PAGE = 50
STATES = {"": "any state", "waiting": "waiting", "answered": "answered", "problem": "with a problem"}
VERDICTS = {"": "read or not", "none": "not read", "agree": "agreed with", "disagree": "disagreed with"}
_DATA = ("/api/", "/dicom-web", "/static/", "/healthz", "/metrics", "/openapi.json")
_NO_PAGE = {
    404: "Not found",
    421: "Another name",
    422: "Not understood",
    429: "Too often",
    500: "A fault",
    503: "Not now",
    507: "Not now",
}

router = APIRouter(include_in_schema=False)
_templates = Jinja2Templates(HERE / "templates")


def _minute(at: str) -> str:
    """A time of the store to the minute.

    >>> _minute("2026-01-31T12:34:56.000000Z")
    '2026-01-31 12:34'
    """
    return at[:16].replace("T", " ")


def _month(taken_on: str) -> str:
    """Year and month.

    >>> _month("202601")
    '2026-01'
    """
    return f"{taken_on[:4]}-{taken_on[4:6]}" if len(taken_on) >= 6 else taken_on


_templates.env.filters.update(percent=percent, caveat=caveat, minute=_minute, month=_month)


@router.get("/")
def work_list(
    request: Request,
    search: Annotated[str, Query(max_length=128)] = "",
    label: Annotated[str, Query(max_length=256)] = "",
    state: Literal["", "waiting", "answered", "problem"] = "",
    verdict: Literal["", "agree", "disagree", "none"] = "",
    since: Since = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """The studies that there are, and the place to drop new ones."""
    service = service_of(request)
    wanted = {"search": search, "label": label, "state": state, "verdict": verdict, "since": since}
    with service.store.read() as session:
        found = views.studies_view(session, wanted, limit=A_PAGE, offset=(page - 1) * A_PAGE)
    n_pages = max(1, -(-found["total"] // A_PAGE))
    return _show(
        request,
        "list.html",
        found=found,
        wanted=wanted,
        states=STATES,
        verdicts=VERDICTS,
        page=page,
        n_pages=n_pages,
        link=lambda number: "/?" + urlencode({**{k: v for k, v in wanted.items() if v}, "page": number}),
    )


@router.get("/studies/{uid}")
def study(request: Request, uid: Uid) -> Response:
    """One study: its images, and what the model says of them."""
    with service_of(request).store.read() as session:
        found = views.study_view(session, uid)
    frames = [frame for series in found["series"] for image in series["images"] for frame in image["frames"]]
    caveats = {frame["abstains"]: caveat(frame["abstains"]) for frame in frames if frame["abstains"]}
    data = _safe_json({"study": found, "caveats": caveats, **_for_viewer(request)})
    return _show(request, "study.html", study=found, data=data)


@router.get("/about")
def about(request: Request) -> Response:
    """The model, what it is for, and its limits."""
    return _show(request, "about.html")


@router.get("/sign-in")
def sign_in(request: Request) -> Response:
    """The place to show a token."""
    return _templates.TemplateResponse(request, "sign_in.html")


def is_for_a_person(request: Request) -> bool:
    """Whether a browser asks for a page, and not a program for data."""
    is_data = request.url.path.startswith(_DATA)
    return request.method == "GET" and not is_data and "text/html" in request.headers.get("accept", "")


def problem_page(request: Request, status: int, words: str) -> Response:
    """Why there is no page, on a page."""
    return _show(request, "problem.html", status=status, title=_title(status), words=words)


def refusal_page(request: Request, status: int, words: str) -> Response:
    """Why there is no page, for whom nobody has asked yet who they are: it says nothing of the model."""
    values = {"title": _title(status), "words": words}
    return _templates.TemplateResponse(request, "refused.html", values, status_code=status)


def _title(status: int) -> str:
    return _NO_PAGE.get(status, "Not shown")


def _for_viewer(request: Request) -> dict[str, Any]:
    model = service_of(request).model
    return {
        "classes": model.about["classes"],
        "windows": model.about["windows"],
        "colours": heat_colours()[::4].tolist(),
        "why_no_heat": _spaced(model.why_no_heat),
        "has_sets": bool(model.card.caution.thresholds),
        "unlike": UNLIKE,
        "sets_why": _spaced(model.sets_why),
    }


def _spaced(words: str) -> str:
    """Words of a model folder with percentages as the pages write them.

    >>> _spaced("in 90% of the images")
    'in 90 % of the images'
    """
    return re.sub(r"(?<=\d)%", " %", words)


def _safe_json(values: Any) -> str:
    """JSON that can stand in a page: nothing in it ends the element that holds it."""
    text = json.dumps(values)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _show(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    person = getattr(request.state, "person", None)
    about = service_of(request).model.about
    words = {name: [_spaced(one) for one in about[name]] for name in ("marks", "limits")}
    common = {"model": {**about, **words}, "person": person}
    return _templates.TemplateResponse(request, name, {**common, **values}, status_code=status)
