"""A report as one HTML file that needs no network, or as a PDF."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Collection
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from overread.data.hidden import hide_patients
from overread.disk import replacing, write_atomically
from overread.errors import SettingsError
from overread.evaluate.score import BRIEF, TITLES
from overread.explain.controls import REFERENCES
from overread.explain.space import CLASS, MACHINES, PATIENT, sentence
from overread.explain.where import REGIONS
from overread.report import charts
from overread.report.charts import Chart
from overread.report.page import Page

FILE = "report.html"
PARTS_IN_WORDS = {"val": "validation", "calibrate": "calibration", "train": "training", "test": "test"}


def write_report(path: Path, page: Page) -> None:
    """Write a report as HTML: styles, charts and pictures are in it. RunError where it cannot be written."""
    write_atomically(path, render(page))


def write_pdf(path: Path, page: Page) -> None:
    """Write a report as PDF. Raises SettingsError where WeasyPrint is not installed or cannot work."""
    try:
        from weasyprint import HTML
    except (ImportError, OSError) as fault:  # OSError: the package is there, and a library of the system is not
        raise SettingsError(
            f"--pdf needs WeasyPrint, which cannot be used here ({str(fault).splitlines()[0]}). "
            "Install it: pip install 'overread[pdf]', and Pango (Debian: apt-get install libpango-1.0-0 "
            "libpangoft2-1.0-0). Or print report.html from a browser."
        ) from fault
    document = HTML(string=render(page, for_print=True))
    with replacing(path) as temporary:
        document.write_pdf(temporary)


def render(page: Page, *, for_print: bool = False) -> str:
    """The page as HTML text; `for_print` in colours for paper alone."""
    return fill(
        "report.html",
        for_print=for_print,
        unnamed=page.patients,
        page=page,
        read=page.read,
        audit=page.audit,
        titles=TITLES,
        parts=PARTS_IN_WORDS,
        regions=REGIONS,
        sorted_by=sentence,
        references=REFERENCES,
        charts=_draw(page),
        space_charts=_draw_space(page),
    )


def fill(template: str, *, for_print: bool = False, unnamed: Collection[str] = (), **values: Any) -> str:
    """A template of this package as HTML text with these values, the style in it; `unnamed`: hashes of patients."""
    picture: Callable[[Chart], str] = Chart.for_print if for_print else lambda chart: chart.svg
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overread.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["nan"] = lambda value: isinstance(value, float) and math.isnan(value)
    environment.filters["fixed"] = _fixed
    environment.filters["unnamed"] = lambda text: hide_patients(text, unnamed)
    environment.filters["brief"] = lambda rows: [row for row in rows if row.name in BRIEF]
    environment.filters["rest"] = lambda rows: [row for row in rows if row.name not in BRIEF]
    environment.filters["data_uri"] = lambda chart: _uri("image/svg+xml", picture(chart).encode())
    environment.filters["png_uri"] = lambda content: _uri("image/png", content)
    return environment.get_template(template).render(css=Markup(_style(for_print=for_print)), **values)


def _draw(page: Page) -> dict[str, Chart | None]:
    read, tested = page.read, page.tested
    labels = [one.label for one in read.calibration.by_class]
    areas = {
        label: str(read.score.figure("auroc", None if read.score.positive is not None else label)) for label in labels
    }
    return {
        "history": None if page.history is None else charts.history_chart(page.history, page.best_epoch),
        "roc": charts.roc_chart(tested, [label for label in labels if _both_sides(page, label)], areas),
        "calibration": charts.calibration_chart(read.calibration),
        "risk": charts.risk_chart(read.certainty.risk),
        "decision": charts.decision_chart(read.operating) if read.operating else None,
    }


def _draw_space(page: Page) -> list[Chart]:
    """The features by class, by patient, and by the machines that they follow most."""
    space = None if page.explained is None else page.explained.space
    if space is None:
        return []
    machines = sorted((one for one in space.clusterings if one.fact in MACHINES), key=lambda one: -one.excess)
    known = [fact for fact in (CLASS, PATIENT) if space.clustering(fact) is not None]
    return [charts.space_chart(space, fact) for fact in (*known, *(one.fact for one in machines[:2]))]


def _both_sides(page: Page, label: str) -> bool:
    of_class = page.tested.truth == page.tested.classes.index(label)
    return bool(of_class.any() and not of_class.all())


def _style(*, for_print: bool) -> str:
    css = resources.files("overread.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    # paper is light: the dark colours are left out
    return css if not for_print else css.replace("prefers-color-scheme: dark", "prefers-color-scheme: none")


def _fixed(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def as_text(value: Any) -> str:
    """A setting as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
