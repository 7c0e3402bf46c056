"""Where the model does not answer, nothing that is told of a class looks like an answer: on pages and in the PACS."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from PIL import Image as Picture
from tests.serve.conftest import CLASSES, arrive
from tests.serve.web.test_browser import AXE, CHROMIUM, _faults, _serve, browser  # noqa: F401 (a fixture)

from overread.model import bundle
from overread.model.caution import Caution, write_distance
from overread.predict import UNLIKE
from overread.report.heat import Told, draw_sheet
from overread.serve import reporting
from overread.serve.answering import Answerer
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.reporting import Reporter
from overread.serve.service import Service
from overread.stats.outlying import fit_mahalanobis

APART = "cannot tell aneurysm, cancer and tumor apart"
CAVEATS = {
    UNLIKE: "What the network says, not to be relied on:",
    APART: "What the network says, but no answer:",
}
CAUTIONS = {UNLIKE: Caution(thresholds=(1.0,) * 3, farthest=1e-9), APART: Caution(thresholds=(1.0,) * 3)}
needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists() or find_spec("playwright") is None, reason="Chromium or playwright is not installed"
)


@pytest.fixture(params=CAVEATS)
def why(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def silent_model(model_folder: Path, tmp_path: Path, why: str) -> Path:
    """A model that answers nothing, for this reason."""
    own = tmp_path / "silent"
    shutil.copytree(model_folder, own)
    outputs = {out.name: out for out in onnx.load(own / bundle.NETWORK).graph.output}
    width = outputs["features"].type.tensor_type.shape.dim[1].dim_value
    rng = np.random.default_rng(0)
    write_distance(own, fit_mahalanobis(rng.normal(size=(40, width)), np.arange(40) % 3, 3))
    bundle.seal(own, replace(bundle.load_card(own), caution=CAUTIONS[why]))
    return own


@pytest.fixture
def served(silent_model: Path, slices: list[Path], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a service that holds one study, and the study's UID."""
    for address, _ in _serve(silent_model, tmp_path / "store", asks=False):
        files = [("files", (path.name, path.read_bytes())) for path in slices[:4]]
        job = httpx.post(f"{address}/api/v1/images?wait=60", files=files, timeout=90, trust_env=False).json()
        assert job["n_answered"] == 4
        yield address, str(job["studies"][0]["uid"])


def test_the_pages_say_so_without_a_script(served: tuple[str, str], why: str) -> None:
    address, uid = served
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        rows, study = client.get("/").text, client.get(f"/studies/{uid}").text
    row = rows[rows.index("<tbody>") :]
    assert f'<span class="none">No answer</span> <span class="soft">{why}</span>' in row
    assert not re.search(r"\d %", row)
    (bars,) = re.findall(r'<table class="bars.*?</table>', study, re.DOTALL)
    assert '<table class="bars unsure"><caption><strong>' + CAVEATS[why] in bars
    assert bars.count('<span class="unseen">, no answer</span>') == len(CLASSES)
    table = study[study.index('<table class="all">') :]
    for number in range(1, 5):
        cells = (
            f'<td class="number">{number}</td><td><span class="none">No answer</span> <span class="soft">{why}</span>'
        )
        assert cells in table
    assert "The model's answer for the study is" not in study
    assert f"The model does not answer: {why} (4 of 4 images without an answer)." in study


def test_a_likeliest_class_that_is_no_answer_can_be_named_as_right(served: tuple[str, str], why: str) -> None:
    address, uid = served
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        page = client.get(f"/studies/{uid}").text
        likeliest = client.get(f"/api/v1/studies/{uid}").json()["label"]
        said = {"study": uid, "verdict": "disagree", "label": likeliest}
        assert client.post("/api/v1/readings", json=said).status_code == 201
    offered = re.findall(r"<option>(.*?)</option>", page[page.index('<select name="label">') :])
    assert offered == list(CLASSES)


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_viewer_says_so(served: tuple[str, str], browser: Any, why: str, scheme: str) -> None:  # noqa: F811
    from playwright.sync_api import expect

    address, uid = served
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, base_url=address)
    page = context.new_page()
    page.goto(f"/studies/{uid}")
    answer = page.locator("#image-answer")
    expect(answer).to_contain_text(f"The model does not answer: {why}.")
    expect(answer).not_to_contain_text("Likeliest class")
    expect(answer.locator("caption")).to_have_text(CAVEATS[why])
    expect(page.get_by_role("table", name=CAVEATS[why])).to_have_count(2)
    for cell in answer.locator("td.number").all_inner_texts():
        assert cell.endswith(", no answer")
    assert ("Set of possible classes" in answer.inner_text()) == (why != UNLIKE)
    with Picture.open(io.BytesIO(answer.locator("meter").first.screenshot())) as bar:
        across = np.asarray(bar.convert("L"), int)[bar.height // 2]
    assert (np.abs(np.diff(across)) > 15).sum() > 8, "the bar is hatched: colour alone would not do"
    page.locator("#heat").check()
    expect(page.locator("#heat-said")).to_contain_text("The model does not answer. Colour: what speaks for")
    page.locator("summary").click()
    page.wait_for_load_state("networkidle")
    assert _faults(page) == [] if AXE.exists() else True
    context.close()


def test_the_sheet_in_the_pacs_says_so(
    silent_model: Path, service: Service, slices: list[Path], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Told] = []

    def note(image: Any, heat: Any, words: Told) -> Any:
        told.append(words)
        return draw_sheet(image, heat, words)

    monkeypatch.setattr(reporting, "draw_sheet", note)
    store, model = service.store, ServedModel(silent_model)
    Intake(store).take([arrive(store, path) for path in slices[:4]], came_by="c-store", who="me")
    Answerer(store, model).answer_waiting()
    assert Reporter(store=store, model=model, destinations=("PACS@127.0.0.1:1",), quiet_s=0).report_due() == 1
    (words,) = told
    assert (words.title, words.caveat) == (f"No answer: {why}", CAVEATS[why])
    assert words.covered.endswith("which is no answer")
    named = " ".join([words.alone, *words.lines]).replace(why, "")
    assert not any(name in named for name in CLASSES)
    assert f"The whole study: no answer: {why} (4 of 4 images without an answer)." in words.lines
