from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Picture
from sqlalchemy import text
from tests.serve.conftest import arrive

from overread.cli.main import run
from overread.errors import SettingsError
from overread.predict import Prediction
from overread.serve import answering, intake
from overread.serve.answering import Answerer
from overread.serve.digest import digest_of
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.proof import prove
from overread.serve.service import Service
from overread.serve.store import Store, open_store
from overread.serve.trail import record
from overread.serve.web.app import make_app


@pytest.fixture(scope="module")
def model(model_folder: Path) -> ServedModel:
    return ServedModel(model_folder)


def _fill(store: Store, model: ServedModel, slices: list[Path]) -> None:
    """Two studies of four images each, answered, of which the first is read twice; one image more waits."""
    Intake(store).take([arrive(store, path) for path in slices[:8]], came_by="rest", who="me")
    Answerer(store, model).answer_waiting()
    client = TestClient(make_app(Service(store, model)), base_url="http://127.0.0.1")
    study = _first(store, "select uid from study where id = 1")
    for verdict, label in (("agree", ""), ("disagree", "tumor")):
        said = {"study": study, "verdict": verdict, "label": label, "comment": "so"}
        response = client.post("/api/v1/readings", json=said)
        assert response.status_code == 201, response.text
    Intake(store).take([arrive(store, slices[8])], came_by="rest", who="me")


def _first(store: Store, words: str) -> Any:
    with store.read() as session:
        return session.execute(text(words)).scalar()


def _change(store: Store, *words: str) -> None:
    with store.begin() as session:
        for one in words:
            session.execute(text(one))


@pytest.fixture
def filled(store: Store, model: ServedModel, slices: list[Path]) -> Store:
    _fill(store, model, slices)
    assert prove(store).faults == ()
    return store


@pytest.fixture
def old(store: Store, model: ServedModel, slices: list[Path], monkeypatch: pytest.MonkeyPatch) -> Store:
    """As an overread wrote it whose trail told less."""

    def record_less(session: Any, *, did: str, **said: Any) -> None:
        if did == "received":
            said["images"] = [uid for uid, *_ in said["images"]]
        for name in ("form", "ended"):
            said.pop(name, None)
        record(session, did=did, **said)

    with monkeypatch.context() as before:
        before.setattr(intake, "record", record_less)
        before.setattr(answering, "record", record_less)
        before.setattr(answering, "digest_of", partial(digest_of, form=1))
        _fill(store, model, slices)
    assert prove(store).faults == ()
    return store


_GONE = ("delete from answer where instance_id = 1", "delete from instance where id = 1")
_OTHER_FILE = "update instance set sha256 = (select sha256 from instance where id = 2) where id = 1"
_CHANGES = [
    pytest.param(["delete from answer"], "An answer to image", id="answers-gone"),
    pytest.param(["delete from answer where id = 3"], "not there as the trail tells", id="an-answer-gone"),
    pytest.param(["delete from reading"], "A reading of study", id="readings-gone"),
    pytest.param(["delete from reading where id = 2"], "A reading of study", id="last-reading-gone"),
    pytest.param(_GONE, "is gone", id="image-gone"),
    pytest.param(["delete from instance where state = 'waiting'"], "is gone", id="waiting-image-gone"),
    pytest.param(["update answer set abstains = 'far' where id = 2"], "changed, or added", id="abstains"),
    pytest.param(["update answer set problem = 'xx' where id = 2"], "changed, or added", id="problem"),
    pytest.param(["update answer set instance_id = 9 where id = 2"], "changed, or added", id="answer-moved"),
    pytest.param(["update reading set comment = 'no' where id = 1"], "changed, or added", id="comment"),
    pytest.param(["update reading set reader = 'you' where id = 1"], "changed, or added", id="reader"),
    pytest.param(["update reading set model = 'you' where id = 1"], "changed, or added", id="reading-model"),
    pytest.param(["update reading set study_id = 2 where id = 1"], "changed, or added", id="reading-moved"),
    pytest.param(["update series set study_id = 2 where id = 1"], "counts other images", id="series-moved"),
    pytest.param(["update instance set series_id = 2 where id = 1"], "counts other images", id="image-moved"),
    pytest.param(["update instance set state = 'refused', problem = 'xx' where id = 1"], "marked", id="refused"),
    pytest.param(["update instance set state = 'answered' where state = 'waiting'"], "marked", id="answered"),
    pytest.param(["update instance set state = 'waiting' where id = 1"], "marked", id="waiting"),
    pytest.param(["update instance set problem = 'xx' where id = 1"], "marked", id="image-problem"),
    pytest.param(["update instance set problem = 'xx' where id = 9"], "marked", id="waiting-image-problem"),
    pytest.param(["update study set label = 'other' where id = 1"], "another class", id="study-label"),
    pytest.param(["update study set probability = 0.99 where id = 1"], "another probability", id="study-probability"),
    pytest.param(["update study set abstains = 'far' where id = 1"], "reason for silence", id="study-abstains"),
    pytest.param(["update study set n_frames = 5 where id = 1"], "sums up other", id="study-frames"),
    pytest.param(["update study set sums = '{}' where id = 1"], "sums up other", id="study-sums"),
    pytest.param(["update study set model = 'me' where id = 1"], "sums up other", id="study-model"),
    pytest.param(["update study set n_images = 3 where id = 1"], "counts other", id="study-images"),
    pytest.param(["update study set n_answered = 3 where id = 1"], "counts other", id="study-answered"),
    pytest.param(["update study set n_refused = 3 where id = 1"], "counts other", id="study-refused"),
    pytest.param(["update study set verdict = 'agree' where id = 1"], "another verdict", id="study-verdict"),
    pytest.param(
        ["update study set reader_label = 'cancer' where id = 1"], "another verdict", id="study-reader-label"
    ),
    pytest.param(["update study set verdict = 'agree' where id = 2"], "another verdict", id="study-without-reading"),
    pytest.param(["update instance set sha256 = 'no hash' where id = 1"], "file of image", id="no-file"),
]
_NEWER_CHANGES = [
    pytest.param([_OTHER_FILE], "has another file", id="other-file"),
    pytest.param(["update instance set series_id = 2 where id = 1"], "in another series", id="series"),
    pytest.param(["update series set study_id = 2 where id = 1"], "in another study", id="study"),
    pytest.param(["update answer set maps = '' where id = 2"], "changed, or added", id="maps"),
    pytest.param(["update answer set maps_shape = '[1]' where id = 2"], "changed, or added", id="maps-shape"),
    pytest.param(["update answer set nearest = '[1]' where id = 2"], "changed, or added", id="nearest"),
    pytest.param(["update answer set answered_at = '2020' where id = 2"], "changed, or added", id="answered-at"),
]


@pytest.mark.parametrize(("words", "fault"), [*_CHANGES, *_NEWER_CHANGES])
def test_whatever_is_changed_is_found_out(filled: Store, words: list[str], fault: str) -> None:
    _change(filled, *words)
    assert fault in " ".join(prove(filled).faults)


@pytest.mark.parametrize(("words", "fault"), _CHANGES)
def test_a_store_whose_trail_tells_less_holds_and_what_is_changed_in_it_is_found_out(
    old: Store, words: list[str], fault: str
) -> None:
    _change(old, *words)
    assert fault in " ".join(prove(old).faults)


def test_an_older_store_goes_on_with_a_trail_that_tells_more(old: Store, model: ServedModel) -> None:
    Answerer(old, model).answer_waiting()
    assert prove(old).faults == ()
    _change(old, "update answer set answered_at = '2020' where instance_id = 9")
    assert "changed, or added" in " ".join(prove(old).faults)


@pytest.mark.parametrize(
    "words",
    [
        "update answer set probabilities = '[1' where id = 2",
        "update answer set probabilities = '[1]' where id = 2",
        'update answer set probabilities = \'{"cancer": "x"}\' where id = 2',
        "update study set sums = '[1]' where id = 2",
        "update study set probability = 'xx' where id = 2",
        "update study set n_images = 'xx' where id = 2",
    ],
)
def test_what_is_not_even_of_its_kind_is_a_fault_too(
    tmp_path: Path, model: ServedModel, slices: list[Path], words: str
) -> None:
    store = open_store(tmp_path / "store")
    _fill(store, model, slices)
    _change(store, words)
    assert prove(store).faults
    store.close()


def test_what_was_added_is_found_out(filled: Store) -> None:
    names = "instance_id, frame, model, label, probabilities, classes, abstains, problem, maps, maps_shape, nearest"
    answer = f"insert into answer (id, {names}, answered_at) select -7, {names}, answered_at from answer where id = 1"
    _change(filled, answer.replace("select -7, instance_id, frame", "select -7, instance_id, 5"))
    faults = prove(filled).faults
    assert any(fault.startswith("The answer to frame 5 of image") for fault in faults)
    names = (
        "series_id, sop_class, sha256, format, n_bytes, n_frames, rows, columns, place, came_by, received_at, problem"
    )
    _change(
        filled,
        f"insert into instance (id, uid, state, claimed_by, claimed_until, {names}) "
        f"select -7, '1.2.3', 'waiting', '', '', {names} from instance where id = 9",
    )
    assert "Image 1.2.3 was added: the trail does not tell of it." in prove(filled).faults


def test_a_store_at_work_holds_at_every_moment(filled: Store, model: ServedModel, slices: list[Path]) -> None:
    faults: list[str] = []
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.is_set():
            faults.extend(prove(filled).faults)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for path in slices[9:]:
        Intake(filled).take([arrive(filled, path)], came_by="rest", who="me")
        Answerer(filled, model).answer_waiting()
    is_done.set()
    watcher.join()
    assert faults == []


def test_an_image_that_ends_in_a_fault_after_a_frame_was_answered_holds(filled: Store, model: ServedModel) -> None:
    """No answer says so then, but the trail does."""
    with filled.begin() as session:
        session.execute(text("update instance set n_frames = 3 where state = 'waiting'"))
    (image,) = (answerer := Answerer(filled, model)).claims.take()
    first = Prediction(path=image.sha256, frame=0, label="cancer", probabilities={"cancer": 1.0})
    fault = Prediction(path=image.sha256, frame=0, label=None, probabilities={}, problem="cannot be predicted")
    answerer._write([answering._Said(image, [first], False)])
    assert prove(filled).faults == ()
    answerer._write([answering._Said(image, [fault], True)])
    assert _first(filled, "select problem from instance where id = 9") == "cannot be predicted"
    assert _first(filled, "select state from instance where id = 9") == "answered"
    assert prove(filled).faults == ()


def test_studies_that_several_models_answered_hold(
    filled: Store, model: ServedModel, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in (("b" * 64, slices[9]), (model.sha256, slices[10]), ("b" * 64, slices[11])):
        with monkeypatch.context() as other:
            other.setattr(model, "sha256", name)
            Intake(filled).take([arrive(filled, path)], came_by="rest", who="me")
            Answerer(filled, model).answer_waiting()
    assert _first(filled, "select count(distinct model) from answer") == 2
    assert _first(filled, "select n_frames from study where id = 3") == 1
    assert prove(filled).faults == ()
    _change(filled, "update study set probability = 0.99 where id = 3")
    assert len(prove(filled).faults) == 1


def test_an_image_that_cannot_be_used_holds_and_cannot_be_made_one_that_can(
    filled: Store, model: ServedModel, tmp_path: Path
) -> None:
    Picture.new("L", (40, 40)).save(tmp_path / "black.png")
    Intake(filled).take([arrive(filled, tmp_path / "black.png")], came_by="rest", who="me")
    Answerer(filled, model).answer_waiting()
    assert _first(filled, "select count(*) from instance where state = 'refused'") == 1
    assert prove(filled).faults == ()
    _change(filled, "update instance set state = 'answered', problem = '' where state = 'refused'")
    assert "marked otherwise" in " ".join(prove(filled).faults)


@pytest.mark.parametrize("text", ["", "zzzz", "not the hash", "0123456", "0" * 65, "0123456789 ", "%" * 8])
def test_what_is_no_hash_is_not_expected(filled: Store, text: str) -> None:
    with pytest.raises(SettingsError, match="is no hash"):
        prove(filled, expect=text)


def test_a_hash_is_expected_in_whatever_letters(filled: Store) -> None:
    last = prove(filled).last_hash
    for expect in (last, last.upper(), last[:8].upper()):
        assert prove(filled, expect=expect).faults == ()
    other = last[:-1] + ("0" if last[-1] != "0" else "1")
    assert "cut off" in prove(filled, expect=other).faults[0]


def test_the_command_line_says_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(tmp_path / "s").close()
    words = ["store", "verify", "--store", str(tmp_path / "s")]
    assert run(words) == 0
    assert "All of it holds." in capsys.readouterr().out
    assert run([*words, "--expect", ""]) == 2
    assert "is no hash" in capsys.readouterr().err
