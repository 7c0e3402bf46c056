from __future__ import annotations

import dataclasses
import itertools
import re
import sys

import numpy as np
import pytest
from tests.conftest import make_predictions
from tests.report.again.conftest import PROBE, make_page
from tests.report.again.tree import Node, parse_page

from overread.audit.audit import Audit
from overread.data.cohort import patient_hash
from overread.errors import SettingsError
from overread.evaluate.predictions import Predictions
from overread.explain.controls import Check, Control, not_asked
from overread.explain.explanation import Explanation
from overread.explain.looking import look
from overread.explain.space import space_of
from overread.explain.where import CLASS_MAP, GRID, Regions
from overread.report.html import render, write_pdf
from overread.report.page import Page
from overread.report.pictured import Picture, as_png
from overread.stats.intervals import Measured

HOSTILE = ('<script>alert("1")</script>', 'it\'s "quoted" & \N{PILE OF POO}', "x" * 120)


def page_of(classes: tuple[str, ...] = ("cyst", "normal", "tumor"), **more: object) -> Page:
    found, caution = make_predictions(classes, facts={"site": (f"{classes[0]} <b>", "south")})
    audit = Audit(
        findings=(PROBE,), n_images=9, n_patients=3, asked=("S01",), ignored=(PROBE,), why={"S01": "<i>why</i>"}
    )
    picture = Picture(png=as_png(np.zeros((8, 8, 3), np.uint8)), alt=f"An {classes[0]}", caption=f"<{classes[0]}>")
    made = {
        "mistakes": (picture,),
        "finding_pictures": (("S01", (picture,)),),
        "training": (("network", "<resnet>"),),
        "explained": explanation(found),
        "evidence": (picture,),
        "examples": (picture,),
    }
    return make_page(found, caution, audit=audit, **{**made, **more})


def explanation(found: Predictions, *checks: Check) -> Explanation:
    """A network that looks at the rim for every class, and whose features know the site alone."""
    n, k = len(found), len(found.classes)
    maps = np.random.default_rng(0).normal(0, 0.01, (n, k, 7, 7)).astype(np.float32)
    maps[np.arange(n), found.truth, 0, 3] += 5
    edge = np.ones((GRID, GRID), bool)
    edge[6:-6, 6:-6] = False
    regions = Regions(outside=~edge & edge, edge=edge, letters=~edge & edge)
    looking = look(maps, [regions] * n, found.truth, found.patients, found.classes)
    sites = np.array(found.facts["site"]) == "south"
    features = np.random.default_rng(1).normal(0, 1, (n, 5)) + 6 * sites[:, None]
    space = space_of(features, found.truth, found.classes, found.patients, found.facts, np.random.default_rng(0))
    return Explanation(method="class <maps>", looking=looking, space=space, checks=checks)


def test_the_report_says_where_it_looks_and_what_its_features_follow() -> None:
    page = page_of()
    text = " ".join(parsed(page).text.split())
    assert "of the evidence lies in the outer rim" in text
    assert "Beware: the features follow the site more closely than the class" in text
    assert "They were not checked" in text
    assert "class <maps>" in text


@pytest.mark.parametrize("passed", [True, False])
def test_the_report_tells_what_the_maps_have_stood(passed: bool) -> None:
    value = Measured(name="similarity", value=0.25, low=0.125, high=0.375, n_images=9, n_patients=3, method="m")
    control = Control(name="weights", value=value, wanted="below <0.5>", passed=passed, rows=(("<head>", value),))
    check = Check(method=CLASS_MAP, controls=(control, not_asked("repeat", "no <time>")))
    found, _ = make_predictions(("cyst", "normal", "tumor"), facts={"site": ("north", "south")})
    page = page_of(explained=explanation(found, check))
    text = " ".join(parsed(page).text.split())
    for said in ("other weights, another map", "0.25", "0.12 to 0.38", "below <0.5>", "no <time>", "<head>"):
        assert said in text
    assert ("The maps are withheld" in text) is not passed
    assert "They were not checked" not in text


def parsed(page: Page) -> Node:
    return parse_page(render(page))


def test_names_that_are_code_are_shown_and_not_run() -> None:
    page = page_of(HOSTILE, name=HOSTILE[0], subtitle=HOSTILE[1], commands=(HOSTILE[0],), data_words=(HOSTILE[0],))
    tree = parsed(page)
    assert {"script", "b\\b", "i\\b"}.isdisjoint(node.tag for node in tree.all())
    assert not list(tree.all("script"))
    assert not any(name.startswith("on") for node in tree.all() for name in node.attrs)
    (title,) = tree.all("h1")
    assert title.text == HOSTILE[0]
    for name in HOSTILE:
        assert any(cell.text == name for cell in [*tree.all("td"), *tree.all("th")])
    assert "<i>why</i>" in next(tree.all("section", kind=None)).parent.text


def test_nothing_is_fetched_from_anywhere() -> None:
    text = render(page_of())
    tree = parse_page(text)
    for node in tree.all():
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = node.attrs.get(name, "")
            assert value == "" or value.startswith(("#", "data:image/")), (node.tag, value)
    assert not list(tree.all("link"))
    assert not re.search(r"url\((?!data:)|@import", text)


def test_it_can_be_read_without_eyes() -> None:
    tree = parsed(page_of())
    assert next(tree.all("html")).attrs["lang"] == "en"
    images = list(tree.all("img"))
    assert len(images) >= 6
    assert all(image.attrs["alt"].strip() for image in images)
    levels = [int(node.tag[1]) for node in tree.all() if re.fullmatch(r"h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [node.attrs["id"] for node in tree.all() if "id" in node.attrs]
    assert len(set(ids)) == len(ids)
    for link in tree.all("a"):
        assert link.attrs["href"].removeprefix("#") in ids
    for table in tree.all("table"):
        assert list(table.all("th"))
        assert all(cell.attrs.get("scope") in ("col", "row") for cell in table.all("th"))


def test_the_verdict_stands_first_with_the_reasons_that_decide() -> None:
    page = page_of()
    first = next(parsed(page).all("section"))
    assert page.read.verdict.words in first.text
    assert [item.text.split(" #")[0] for item in first.all("li")] != []
    assert len(list(first.all("li"))) == len(page.read.verdict.deciding) == 3


def test_no_patient_is_named_by_a_path() -> None:
    who = "Doe_Jane_1961"
    where = (f"tumor/{who}/1.dcm = tumor/x/2.dcm",)
    audit = Audit(findings=(dataclasses.replace(PROBE, where=where),), n_images=9, n_patients=3, asked=("S01",))
    picture = Picture(png=b"", alt=f"The image tumor/{who}/1.dcm.", caption=f"tumor/{who}/1.dcm")
    found, caution = make_predictions()
    page = make_page(found, caution, audit=audit, mistakes=(picture,), patients=frozenset({patient_hash(who)}))
    text = render(page)
    assert who not in text
    assert text.count(f"tumor/{patient_hash(who)}/1.dcm") == 3


def test_paper_has_colours_of_its_own() -> None:
    page = page_of()
    assert "prefers-color-scheme: dark" in render(page)
    printed = render(page, for_print=True)
    assert "prefers-color-scheme: dark" not in printed
    assert "prefers-color-scheme:dark" not in printed


def test_without_weasyprint_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(SettingsError, match=r"pip install 'overread\[pdf\]'"):
        write_pdf(tmp_path / "report.pdf", page_of())
    assert list(tmp_path.iterdir()) == []


def test_a_pdf_is_written_where_it_can_be(tmp_path) -> None:
    pytest.importorskip("weasyprint", exc_type=(ImportError, OSError))
    write_pdf(tmp_path / "report.pdf", page_of())
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(content) > 20_000
