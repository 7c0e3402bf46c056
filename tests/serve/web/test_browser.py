"""The pages in a real browser: what a radiologist does, with the mouse, by keys alone, and what must not run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import uvicorn
from PIL import Image
from pydicom.uid import MRImageStorage
from sqlalchemy import select
from tests.serve.conftest import CLASSES

from overread.serve.accounts import add_account
from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.tables import Study
from overread.serve.web.app import make_app

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path((find_spec("axe_playwright_python") or find_spec("overread")).origin or "").parent / "axe.min.js"  # type: ignore[union-attr]
SIZES = {"small": (320, 640), "phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}
WAIT_MS = 30_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed (Debian: chromium)"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    words = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=words)
        yield found
        found.close()


def _serve(model: Path, folder: Path, *, asks: bool) -> Iterator[tuple[str, Service]]:
    service = Service(open_store(folder), ServedModel(model))
    server = uvicorn.Server(uvicorn.Config(make_app(service, asks=asks), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", service
    server.should_exit = True
    thread.join(timeout=30)


@pytest.fixture(scope="module")
def address(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for address, _ in _serve(model_folder, tmp_path_factory.mktemp("served") / "store", asks=False):
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page that fails the test where a script of ours does."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
    context.set_default_timeout(WAIT_MS)
    found = context.new_page()
    faults: list[str] = []
    found.on("pageerror", lambda fault: faults.append(str(fault)))
    found.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
    yield found
    context.close()
    assert faults == []


def _hand_in(page: Any, files: list[Path]) -> None:
    from playwright.sync_api import expect

    page.goto("/")
    page.set_input_files("#files", [str(path) for path in files])
    expect(page.locator("#said")).to_contain_text("answer", timeout=WAIT_MS)
    expect(page.locator("#said")).not_to_contain_text("answered", timeout=WAIT_MS)


def _open_first(page: Any) -> None:
    from playwright.sync_api import expect

    page.locator("table.studies a").first.click()
    expect(page.locator("#where-shown")).to_contain_text("1 / 4")


def test_a_radiologist_reads_a_study(page: Any, slices: list[Path], tmp_path: Path) -> None:
    from playwright.sync_api import expect

    (tmp_path / "letter.txt").write_text("Dear colleague")
    _hand_in(page, [*slices[:4], tmp_path / "letter.txt"])
    expect(page.locator("#problems")).to_contain_text("letter.txt is not an image")
    _open_first(page)
    expect(page.locator("#image-answer")).to_contain_text("cannot say how sure it is")
    stage = page.locator("#stage")
    stage.hover()
    page.mouse.wheel(0, 120)
    expect(page.locator("#where-shown")).to_contain_text("2 / 4")
    expect(page.locator("#image-answer")).to_contain_text("Likeliest class")
    before = page.locator("#window-shown").inner_text()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 260, steps=5)
    page.mouse.up()
    expect(page.locator("#window-shown")).not_to_have_text(before)
    page.locator("#window").select_option("bone")
    expect(page.locator("#window-shown")).to_have_text("W 2800  L 600 HU")
    plain = page.locator("#canvas").screenshot()
    page.locator("#heat").check()
    expect(page.locator("#heat-said")).to_contain_text("what speaks for")
    expect(page.locator("#scale")).to_be_visible()
    assert page.locator("#canvas").screenshot() != plain
    page.get_by_label("wrong").check()
    own = page.locator("[aria-labelledby=study-title] th").first.inner_text()
    offered = page.locator("select[name=label] option").all_inner_texts()
    assert offered == ["none of the model's classes", *(name for name in CLASSES if name != own)]
    page.locator("select[name=label]").select_option(offered[1])
    page.locator("textarea").fill("a clip, not a lesion")
    page.get_by_role("button", name="Keep this reading").click()
    expect(page.locator("#readings")).to_contain_text(f"disagrees: {offered[1]}")
    page.goto("/")
    expect(page.locator("table.studies")).to_contain_text(f"✗ disagrees: {offered[1]}")
    page.get_by_role("searchbox").fill("nothing like it")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("No study fits")


def test_keys_alone_do_all_of_it(page: Any, slices: list[Path]) -> None:
    from playwright.sync_api import expect

    _hand_in(page, slices[4:8])
    page.keyboard.press("Tab")
    link = page.locator("table.studies a").first
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate_handle is not None and page.locator("table.studies a:focus").count():
            break
    page.keyboard.press("Enter")
    expect(page.locator("#where-shown")).to_contain_text("1 / 4")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#where-shown")).to_contain_text("2 / 4")
    page.keyboard.press("End")
    expect(page.locator("#where-shown")).to_contain_text("4 / 4")
    page.keyboard.press("h")
    expect(page.locator("#heat")).to_be_checked()
    page.keyboard.press("1")
    expect(page.locator("#window-shown")).to_have_text("W 80  L 40 HU")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("a")
    expect(page.locator("#reading textarea")).to_be_focused()
    page.keyboard.type("as it says")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#readings")).to_contain_text("✓ agrees")


def test_an_image_is_enlarged_and_moved(page: Any, slices: list[Path]) -> None:
    from playwright.sync_api import expect

    _hand_in(page, slices[:4])
    _open_first(page)
    stage, zoom = page.locator("#stage"), page.locator("#zoom-shown")
    page.wait_for_load_state("networkidle")
    fitted = zoom.inner_text()
    stage.focus()
    page.keyboard.press("+")
    expect(zoom).not_to_have_text(fitted)
    for press in ("Control+ArrowRight", "Shift+ArrowUp", "i"):
        before = page.locator("#canvas").screenshot()
        page.keyboard.press(press)
        assert page.locator("#canvas").screenshot() != before, press
    expect(page.locator("#where-shown")).to_contain_text("1 / 4")
    page.keyboard.press("r")
    expect(zoom).to_have_text(fitted)
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 300, box["y"] + 200, steps=4)
    page.mouse.up(button="right")
    expect(zoom).not_to_have_text(fitted)
    page.keyboard.press("r")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(zoom).not_to_have_text(fitted)


def _painted(page: Any) -> Any:
    """Columns and rows of the stage on which an image stands."""
    script = """() => {
        const { width, height } = document.getElementById("canvas");
        const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, width, height);
        const columns = new Set(), rows = new Set();
        for (let i = 0; i < width * height; i += 1) {
            if (data[4 * i + 3]) [columns.add(i % width), rows.add(Math.floor(i / width))];
        }
        return [columns.size, rows.size];
    }"""
    return page.evaluate(script)


def test_no_image_stands_under_the_number_of_another(page: Any, slices: list[Path]) -> None:
    """While one is on its way, however long that takes."""
    from playwright.sync_api import expect

    _hand_in(page, slices[:4])
    first, kept = [], []

    def hold(route: Any) -> None:
        (kept if first else first).append(route)
        if len(first) == 1 and not kept:
            route.continue_()

    page.route("**/pixels", hold)
    _open_first(page)
    expect(page.locator("#window-shown")).to_contain_text("W ")
    page.locator("#stage").focus()
    page.keyboard.press("End")
    expect(page.locator("#stage-said")).to_have_text("Loading.")
    assert _painted(page) == [0, 0]
    expect(page.locator("#window-shown")).to_have_text("")
    assert page.locator("[data-side]").all_inner_texts() == [""] * 4
    for route in kept:
        route.continue_()
    expect(page.locator("#stage-said")).to_have_text("")
    expect(page.locator("#window-shown")).to_contain_text("W ")
    assert _painted(page) != [0, 0]


def test_images_of_two_kinds_in_one_study(page: Any, slices: list[Path], tmp_path: Path) -> None:
    """The first, of CT, has pixels that are twice as high as wide; the second, of MR, has no Hounsfield units."""
    from playwright.sync_api import expect

    for number, modality in enumerate(("CT", "CT", "MR")):
        dataset = pydicom.dcmread(slices[9])
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.99", f"1.2.99.{modality == 'MR':d}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.99.9.{number}"
        dataset.Modality, dataset.PixelSpacing, dataset.SeriesNumber = modality, [1, 0.5], number
        if modality == "MR":
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
            dataset.WindowCenter, dataset.WindowWidth = 500, 1000
        dataset.BodyPartExamined = "TWO KINDS"
        dataset.save_as(tmp_path / f"{number}.dcm")
    _hand_in(page, sorted(tmp_path.glob("*.dcm")))
    page.locator("table.studies a", has_text="TWO KINDS").click()
    shown, brain = page.locator("#window-shown"), page.locator("#window option[value=brain]")
    expect(shown).to_contain_text("HU")
    columns, rows = _painted(page)
    assert rows == pytest.approx(2 * columns, abs=3)
    page.locator("#window").select_option("brain")
    expect(shown).to_have_text("W 80  L 40 HU")
    page.locator("#series").select_option(index=1)
    expect(page.locator("#where-shown")).to_have_text("1 / 1")
    expect(shown).to_have_text("W 1000  L 500")
    expect(brain).to_be_disabled()
    page.locator("#series").select_option(index=0)
    expect(shown).to_have_text("W 80  L 40 HU")
    expect(brain).to_be_enabled()
    page.locator("summary").click()
    assert page.locator("table.all td:first-child").all_inner_texts() == ["1: 1", "1: 2", "2: 1"]


def test_small_numbers_are_seen(page: Any, tmp_path: Path) -> None:
    """Such as of a map of diffusion: below 0.003, all of it."""
    from playwright.sync_api import expect

    values = np.linspace(0, 0.003, 32 * 32, dtype=np.float32).reshape(32, 32, 1)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "adc.nii")
    _hand_in(page, [tmp_path / "adc.nii"])
    page.locator("table.studies a").first.click()
    expect(page.locator("#window-shown")).to_have_text("W 0.003  L 0.0015")
    script = """() => {
        const { width, height } = document.getElementById("canvas");
        const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, width, height);
        const greys = [...data].filter((value, i) => i % 4 === 0 && data[i + 3]);
        return [greys.reduce((a, b) => Math.min(a, b)), greys.reduce((a, b) => Math.max(a, b))];
    }"""
    low, high = page.evaluate(script)
    assert (low < 5, high > 250) == (True, True)
    page.locator("#stage").focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#window-shown")).to_have_text("W 0.0031  L 0.0015")


def test_a_reading_is_of_what_the_page_shows_and_is_kept_once(
    browser: Any, model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    for address, service in _serve(model_folder, tmp_path / "store", asks=False):
        page = browser.new_page(base_url=address)
        _hand_in(page, slices[:4])
        _open_first(page)
        with service.store.begin() as session:
            (study,) = session.scalars(select(Study))
            label = study.label
            study.label = next(name for name in CLASSES if name != label)
        page.get_by_label("right", exact=False).first.check()
        page.get_by_role("button", name="Keep this reading").click()
        expect(page.locator("#reading-said")).to_contain_text("The model's answer is")
        with service.store.begin() as session:
            session.scalars(select(Study)).one().label = label
        page.route("**/readings", lambda route: (time.sleep(0.3), route.continue_()))
        page.get_by_role("button", name="Keep this reading").dblclick()
        expect(page.locator("#reading-said")).to_have_text("Kept.")
        page.wait_for_timeout(500)
        assert page.locator("#readings li").count() == 1
        page.close()


def test_what_a_reader_has_begun_to_write_outlives_an_answer(
    browser: Any, model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    for address, service in _serve(model_folder, tmp_path / "store", asks=False):
        page = browser.new_page(base_url=address)
        _hand_in(page, slices[:4])
        for n_images in (5, 4):
            with service.store.begin() as session:
                session.scalars(select(Study)).one().n_images = n_images
            if n_images == 5:
                _open_first(page)
                page.locator("textarea").fill("a clip, not a")
        expect(page.locator("#reading-said")).to_contain_text("answered more images since")
        assert page.locator("textarea").input_value() == "a clip, not a"
        page.close()


def test_why_a_picture_has_no_answer_is_told_at_once(browser: Any, needs_units: Path, tmp_path: Path) -> None:
    """A model that needs Hounsfield units, and a picture."""
    from playwright.sync_api import expect

    picture = tmp_path / "picture.png"
    Image.linear_gradient("L").save(picture)
    for address, _ in _serve(needs_units, tmp_path / "store", asks=False):
        page = browser.new_page(base_url=address)
        page.goto("/")
        page.set_input_files("#files", [str(picture)])
        expect(page.locator("#said")).to_have_text("No image could be used: see below.", timeout=WAIT_MS)
        expect(page.locator("#problems")).to_contain_text("1 image: This model needs images in Hounsfield units")
        expect(page.locator("table.studies")).to_contain_text("the model cannot use these images")
        page.locator("table.studies a").first.click()
        expect(page.locator("#reading")).to_be_hidden()
        page.keyboard.press("a")
        expect(page.locator("#main")).to_contain_text("there is nothing to agree or disagree with")
        page.close()


def test_what_is_handed_in_meanwhile_is_not_lost(page: Any, slices: list[Path], pictures: list[Path]) -> None:
    from playwright.sync_api import expect

    page.goto("/")
    page.route("**/api/v1/images", lambda route: (time.sleep(0.5), route.continue_()))
    page.set_input_files("#files", [str(slices[5])])
    page.set_input_files("#files", [str(path) for path in pictures])
    expect(page.locator("#said")).to_have_text("3 images have an answer.", timeout=WAIT_MS)


def test_what_a_file_says_is_never_run(page: Any, slices: list[Path], tmp_path: Path) -> None:
    from playwright.sync_api import expect

    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    dataset = pydicom.dcmread(slices[8])
    with pydicom.config.disable_value_validation():
        for name in ("BodyPartExamined", "PatientName", "StudyDescription", "SeriesDescription", "PatientID"):
            setattr(dataset, name, evil)
        dataset.save_as(tmp_path / "evil.dcm")
    (tmp_path / "<img src=x onerror=alert(3)>.txt").write_text("no image")
    _hand_in(page, [tmp_path / "evil.dcm", tmp_path / "<img src=x onerror=alert(3)>.txt"])
    expect(page.locator("#problems")).to_contain_text("<img src=x onerror=alert(3)>.txt")
    page.locator("table.studies a", has_text="<img").first.click()
    expect(page.locator("#where-shown")).to_contain_text("1 / 1")
    expect(page.locator("h1")).to_contain_text("<img src=x")
    page.get_by_label("right", exact=False).first.check()
    page.locator("textarea").fill(evil)
    page.get_by_role("button", name="Keep this reading").click()
    expect(page.locator("#readings")).to_contain_text("<script>alert(2)")


@pytest.mark.skipif(not AXE.exists(), reason="axe-playwright-python is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_are_for_everybody(browser: Any, address: str, slices: list[Path], size: str, scheme: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, base_url=address)
    page = context.new_page()
    _hand_in(page, [*slices[:4], Path(__file__)])
    assert _faults(page) == [], "the work list after an upload with a file that is none"
    for path in ("/", "/about", "/sign-in", page.locator("table.studies a").first.get_attribute("href")):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert _faults(page) == [], path
    page.locator("#heat").check()
    page.get_by_label("wrong").check()
    page.locator("summary").click()
    page.wait_for_load_state("networkidle")
    assert _faults(page) == [], "a study with its heatmap, a disagreement and the table"
    page.locator("#help-button").click()
    assert _faults(page) == [], "the list of keys"
    context.close()


def _faults(page: Any) -> list[str]:
    """What axe has against a page as it stands, and whether it is wider than its window."""
    devtools = page.context.new_cdp_session(page)  # the page's own rules forbid it to run what a test brings along
    devtools.send("Runtime.evaluate", {"expression": AXE.read_text() + ";0"})
    words = "axe.run().then(r => r.violations.map(v => v.impact + ' ' + v.id + ' ' + v.nodes[0].html.slice(0, 99)))"
    words += ".then(v => [...v, document.documentElement.scrollWidth > innerWidth ? 'wider than the window' : ''])"
    found = devtools.send("Runtime.evaluate", {"expression": words, "awaitPromise": True, "returnByValue": True})
    return [fault for fault in found["result"]["value"] if fault]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_who_has_signed_in_sees_the_whole_page_and_whole_hashes(
    browser: Any, model_folder: Path, slices: list[Path], tmp_path: Path, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    for address, service in _serve(model_folder, tmp_path / "store", asks=True):
        with service.store.begin() as session:
            tokens = [add_account(session, name, "reader") for name in ("dr-lee", "dr-anna-maria-of-the-hospital")]
        for token in tokens:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, base_url=address
            )
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("Your token").fill(token)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{address}/")
            _hand_in(page, slices[:1])
            for path in ("/", "/about", page.locator("table.studies a").first.get_attribute("href")):
                page.goto(path)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
                assert page.locator("header").bounding_box()["height"] < 60, path
                lines = "found => found.map(code => code.getClientRects().length)"
                assert set(page.locator("td code").evaluate_all(lines)) <= {1}, path
                assert (_faults(page) == []) or not AXE.exists(), path
            context.close()


def test_a_reader_signs_in_and_out(browser: Any, model_folder: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    for address, service in _serve(model_folder, tmp_path / "store", asks=True):
        with service.store.begin() as session:
            token = add_account(session, "dr-lee", "reader")
        context = browser.new_context(base_url=address)
        page = context.new_page()
        page.goto("/?state=answered")
        expect(page).to_have_url(f"{address}/sign-in?next=/%3Fstate%3Danswered")
        page.get_by_label("Your token").fill("ovr_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("not known here")
        page.get_by_label("Your token").fill(token)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{address}/?state=answered")
        page.get_by_role("button", name="Sign out dr-lee").click()
        expect(page).to_have_url(f"{address}/sign-in")
        page.get_by_label("Your token").fill(token)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{address}/")
        context.clear_cookies()  # the visit ends while the work list is open
        expect(page).to_have_url(f"{address}/sign-in?next=%2F", timeout=15_000)
        context.close()


def test_who_signs_out_is_out(browser: Any, model_folder: Path, tmp_path: Path) -> None:
    """Though a second visit has begun in another tab, whose word the first does not know."""
    from playwright.sync_api import expect

    for address, service in _serve(model_folder, tmp_path / "store", asks=True):
        with service.store.begin() as session:
            token = add_account(session, "dr-lee", "reader")
        context = browser.new_context(base_url=address)
        first, second = context.new_page(), context.new_page()
        for page in (first, second):
            page.goto("/sign-in")
            page.get_by_label("Your token").fill(token)
            page.keyboard.press("Enter")
            expect(page).to_have_url(f"{address}/")
        with first.expect_navigation():
            first.get_by_role("button", name="Sign out").click()
        if "/sign-in" not in first.url:
            first.get_by_role("button", name="Sign out").click()
        expect(first).to_have_url(f"{address}/sign-in")
        first.goto("/about")
        expect(first).to_have_url(f"{address}/sign-in?next=/about")
        first.route("**/visits", lambda route: route.abort())
        first.get_by_label("Your token").fill(token)
        first.keyboard.press("Enter")
        expect(first.locator("#said")).to_have_text("The service cannot be reached. Is it running?")
        context.close()


def test_who_signs_in_stays_on_this_service(browser: Any, model_folder: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    leads = {
        "/about": "/about",
        "/.//evil.example/x": "//evil.example/x",
        "//evil.example/x": "/",
        "http://evil.example/": "/",
    }
    for address, service in _serve(model_folder, tmp_path / "store", asks=True):
        with service.store.begin() as session:
            token = add_account(session, "dr-lee", "reader")
        for wanted, path in leads.items():
            context = browser.new_context(base_url=address)
            page = context.new_page()
            page.goto(f"/sign-in?next={wanted}")
            page.get_by_label("Your token").fill(token)
            page.keyboard.press("Enter")
            expect(page).to_have_url(f"{address}{path}")
            context.close()


def test_what_is_kept_of_heatmaps_has_a_bound(page: Any) -> None:
    asked: list[int] = []
    heat = {"shown": True, "rows": 2000, "columns": 1000, "maps": {"one": [], "two": []}}  # 32 MB, by its own account

    def answer(route: Any) -> None:
        asked.append(int(route.request.url.split("/")[-2]))
        route.fulfill(json=heat)

    page.route("**/heat", answer)
    page.goto("/")
    script = """async (numbers) => {
        const { heatOf } = await import("/static/frames.js");
        for (const frame of numbers) await heatOf({ image: { uid: "1.2" }, frame });
    }"""
    page.evaluate(script, [*range(8), 0, *range(8)])
    assert asked == list(range(8)), "each once, as long as there is room"
    page.evaluate(script, [8, 7, 1, 0])
    assert asked[8:] == [8, 0], "the one goes that was not looked at for longest"
