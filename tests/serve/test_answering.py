from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from sqlalchemy import event, select, text, update
from tests.serve.conftest import arrive

from overread.data import stream
from overread.data.image import Image, prepare
from overread.errors import ServiceError
from overread.predict import Prediction, load
from overread.serve import claims
from overread.serve.answering import Answerer
from overread.serve.apart import _Child
from overread.serve.claims import Claims
from overread.serve.intake import Intake
from overread.serve.model import ServedModel, unpack_maps
from overread.serve.proof import prove
from overread.serve.store import Store
from overread.serve.tables import Answer, Instance, Study
from overread.settings import ImageSettings


@pytest.fixture(scope="module")
def model(model_folder: Path) -> ServedModel:
    return ServedModel(model_folder)


def _take(store: Store, paths: Sequence[Path]) -> None:
    Intake(store).take([arrive(store, path) for path in paths], came_by="rest", who="me")


def _many(slices: Sequence[Path], folder: Path, *, n_studies: int, n_each: int) -> list[Path]:
    """Images of several studies in turns, so that one upload has to do with all of them."""
    found = []
    for number in range(n_each):
        for study in range(n_studies):
            dataset = pydicom.dcmread(slices[(number + study) % len(slices)])
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.{study}", f"1.2.{study}.1"
            dataset.PatientID = f"patient {study}"
            uid = f"1.2.{study}.1.{number}"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            found.append(folder / f"{uid}.dcm")
            dataset.save_as(found[-1])
    return found


def test_answers_are_those_of_the_predictor(store: Store, model: ServedModel, slices: list[Path]) -> None:
    _take(store, slices)
    rung: list[str] = []
    assert Answerer(store, model, on_answer=lambda images, n: rung.extend(images)).answer_waiting() == 12
    want = {str(p.path): p for p in load(model.folder).predict_files(slices)}
    with store.read() as session:
        rows = session.execute(select(Answer, Instance).join(Instance).order_by(Instance.id)).all()
        for (answer, image), path in zip(rows, slices, strict=True):
            expected = want[str(path)].probabilities
            np.testing.assert_allclose(list(answer.probabilities.values()), list(expected.values()), atol=1e-6)
            assert answer.label == want[str(path)].label
            assert image.state == "answered"
            maps = unpack_maps(answer.maps, answer.maps_shape)
            assert maps is not None
            assert maps.shape[0] == 3
        studies = session.scalars(select(Study)).all()
        assert [(study.n_answered, study.n_frames) for study in studies] == [(4, 4)] * 3
    assert len(rung) == 12


def test_a_study_is_the_mean_of_its_images(store: Store, model: ServedModel, slices: list[Path]) -> None:
    _take(store, slices[:4])
    Answerer(store, model).answer_waiting()
    with store.read() as session:
        said = [list(answer.probabilities.values()) for answer in session.scalars(select(Answer))]
        study = session.scalars(select(Study)).one()
    mean = np.mean(said, axis=0)
    assert study.label == model.card.classes[int(mean.argmax())]
    assert study.probability == pytest.approx(mean.max())


def test_nothing_is_answered_twice(store: Store, model: ServedModel, slices: list[Path]) -> None:
    _take(store, slices)
    at_work = [Answerer(store, model) for _ in range(3)]
    threads = [threading.Thread(target=one.answer_waiting) for one in at_work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.begin() as session:  # as if a process had died between its answer and the end of its claim
        session.execute(update(Instance).values(state="waiting", claimed_until=""))
    Answerer(store, model).answer_waiting()
    with store.read() as session:
        assert len(session.scalars(select(Answer)).all()) == 12
        assert session.scalars(select(Study.n_frames)).all() == [4, 4, 4]


def test_answers_and_uploads_of_the_same_studies_do_not_stop_each_other(
    store: Store, model: ServedModel, slices: list[Path], tmp_path: Path
) -> None:
    files = _many(slices, tmp_path, n_studies=3, n_each=16)
    faults: list[Exception] = []
    still = threading.Event()

    def upload(some: Sequence[Path]) -> None:
        try:
            for start in range(0, len(some), 3):
                _take(store, some[start : start + 3])
        except Exception as fault:
            faults.append(fault)

    def answer() -> None:
        try:
            while not still.is_set():
                Answerer(store, model).answer_waiting()
        except Exception as fault:
            faults.append(fault)

    uploads = [threading.Thread(target=upload, args=(files[number::4],)) for number in range(4)]
    answers = [threading.Thread(target=answer) for _ in range(3)]
    for thread in [*uploads, *answers]:
        thread.start()
    for thread in uploads:
        thread.join()
    still.set()
    for thread in answers:
        thread.join()
    assert faults == []
    Answerer(store, model).answer_waiting()
    with store.read() as session:
        assert len(session.scalars(select(Answer)).all()) == len(files)
        studies = session.scalars(select(Study)).all()
    assert [(study.n_images, study.n_answered, study.n_frames) for study in studies] == [(16, 16, 16)] * 3
    assert prove(store).faults == ()


def test_a_claim_of_a_process_that_died_runs_out(store: Store, model: ServedModel, slices: list[Path]) -> None:
    _take(store, slices[:1])
    with store.begin() as session:
        session.execute(update(Instance).values(claimed_by="dead", claimed_until="9999"))
    assert Answerer(store, model).answer_waiting() == 0
    with store.begin() as session:
        session.execute(update(Instance).values(claimed_until="2020"))
    assert Answerer(store, model).answer_waiting() == 1


_CLAIMS_AND_WAITS = """
import sys, time
from overread.serve.answering import Answerer
from overread.serve.model import ServedModel
from overread.serve.store import open_store
answerer = Answerer(open_store(sys.argv[1], url=sys.argv[2] or None), ServedModel(sys.argv[3]))
print(len(answerer.claims.take()), flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_was_predicting_is_predicted_by_the_next_at_once(
    store: Store, model: ServedModel, slices: list[Path]
) -> None:
    _take(store, slices[:4])
    url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
    words = [sys.executable, "-c", _CLAIMS_AND_WAITS, str(store.folder), url, str(model.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "4\n"
        living = Answerer(store, model)
        living.claims.free_what_is_left()
        assert living.answer_waiting() == 0
        other.kill()
    living.claims.free_what_is_left()
    assert living.answer_waiting() == 4


def test_what_takes_longer_than_a_claim_is_still_claimed(
    store: Store, model: ServedModel, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another process would predict it, too."""
    predict_files, others = model.predictor.predict_files, list[int]()
    assert list(predict_files(slices[:1]))  # the first takes longer
    monkeypatch.setattr(claims, "_CLAIM_S", 1.5)
    _take(store, slices[:8])

    def slowly(*args: Any, **more: Any) -> Iterator[Any]:
        for p in predict_files(*args, **more):
            time.sleep(0.3)
            others.append(len(Claims(store).take()))
            yield p

    monkeypatch.setattr(model.predictor, "predict_files", slowly)
    assert Answerer(store, model).answer_waiting() == 8
    assert others == [0] * 8


def test_claims_that_hold_for_long_cost_nothing(store: Store, slices: list[Path]) -> None:
    _take(store, slices[:1])
    mine, said = Claims(store), list[str]()
    mine.take()
    event.listen(store.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    for _ in range(1000):
        mine.keep()
    assert said == []


def test_an_image_that_cannot_be_decoded_is_refused_and_the_others_go_on(
    store: Store, model: ServedModel, slices: list[Path], tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(slices[1])
    dataset.PixelData = b"\0" * len(dataset.PixelData)
    dataset.save_as(tmp_path / "black.dcm")
    _take(store, [slices[0], tmp_path / "black.dcm", slices[2]])
    Answerer(store, model).answer_waiting()
    with store.read() as session:
        rows = session.execute(select(Instance.state, Instance.problem).order_by(Instance.id)).all()
        study = session.scalars(select(Study)).one()
    assert [row.state for row in rows] == ["answered", "refused", "answered"]
    assert "shows nothing" in rows[1].problem
    assert (study.n_answered, study.n_refused, study.n_frames) == (3, 1, 2)


def _has_frames(store: Store, model: ServedModel, n: int, bad: Collection[int], put: pytest.MonkeyPatch) -> None:
    """Have the images of a store n frames each, some of which cannot be used."""
    with store.begin() as session:
        session.execute(update(Instance).values(n_frames=n))

    def predict_files(paths: Sequence[Path], **more: Any) -> Iterator[Prediction]:
        for path, frame in itertools.product(paths, range(n)):
            if frame in bad:
                yield Prediction(path=str(path), frame=frame, label=None, probabilities={}, problem=f"{frame} is bad")
            else:
                yield Prediction(path=str(path), frame=frame, label="cancer", probabilities={"cancer": 1.0})

    put.setattr(model.predictor, "predict_files", predict_files)


@pytest.mark.parametrize(
    ("bad", "state", "problem"),
    [
        (range(120, 200), "answered", "120 is bad"),
        (range(80), "answered", "0 is bad"),
        ([70], "answered", "70 is bad"),
        (range(199), "answered", "0 is bad"),
        (range(200), "refused", "0 is bad"),
        ([], "answered", ""),
    ],
)
def test_all_frames_decide_what_becomes_of_an_image(
    store: Store,
    model: ServedModel,
    slices: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    bad: Collection[int],
    state: str,
    problem: str,
) -> None:
    """Though they are answered a piece at a time."""
    _take(store, slices[:2])
    _has_frames(store, model, 200, bad, monkeypatch)
    Answerer(store, model).answer_waiting()
    with store.read() as session:
        rows = session.execute(select(Instance.state, Instance.problem)).all()
        study = session.scalars(select(Study)).one()
    assert rows == [(state, problem)] * 2
    n_refused = 2 if state == "refused" else 0
    assert (study.n_answered, study.n_refused, study.n_frames) == (2, n_refused, 2 * (200 - len(bad)))
    assert prove(store).faults == ()


def test_frames_that_were_answered_before_a_stop_decide_with_the_others(
    store: Store, model: ServedModel, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _take(store, slices[:1])
    _has_frames(store, model, 200, range(3, 200), monkeypatch)
    answerer = Answerer(store, model)
    write, n_written = answerer._write, itertools.count()

    def write_once(held: Any) -> None:
        if next(n_written):
            raise ServiceError("The disk is full.", kind="store-full", status=507)
        write(held)

    monkeypatch.setattr(answerer, "_write", write_once)
    with pytest.raises(ServiceError):
        answerer.answer_waiting()
    monkeypatch.setattr(answerer, "_write", write)
    assert answerer.answer_waiting() == 1
    with store.read() as session:
        assert session.execute(select(Instance.state, Instance.problem)).all() == [("answered", "3 is bad")]
    assert prove(store).faults == ()


def test_an_image_that_ends_in_a_fault_keeps_the_answers_that_it_has(
    store: Store, model: ServedModel, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _take(store, slices[:1])
    _has_frames(store, model, 200, [], monkeypatch)
    predict_files = model.predictor.predict_files

    def fail(*args: Any, **more: Any) -> Iterator[Prediction]:
        yield from itertools.islice(predict_files(*args, **more), 100)
        raise ZeroDivisionError

    monkeypatch.setattr(model.predictor, "predict_files", fail)
    assert Answerer(store, model).answer_waiting() == 1
    with store.read() as session:
        row = session.scalars(select(Instance)).one()
        study = session.scalars(select(Study)).one()
    assert (row.state, study.n_refused, study.n_frames) == ("answered", 0, 63)
    assert "a fault in overread" in row.problem
    assert prove(store).faults == ()


def test_the_proof_holds_and_finds_what_was_changed(store: Store, model: ServedModel, slices: list[Path]) -> None:
    _take(store, slices[:4])
    Answerer(store, model).answer_waiting()
    whole = prove(store)
    assert (whole.faults, whole.n_answers, whole.n_files) == ((), 4, 4)
    assert prove(store, expect=whole.last_hash[:8]).faults == ()
    assert "cut off" in prove(store, expect="0123456789").faults[0]
    with store.begin() as session:
        session.execute(text("update answer set label = 'cancer' where id = 2"))
        path = store.files.path_of(session.scalars(select(Instance.sha256)).first() or "")
        session.execute(text("update answer set label = 'aneurysm' where id = 3"))
    path.write_bytes(b"changed")
    faults = " ".join(prove(store).faults)
    assert "answer to frame 0" in faults
    assert "file of image" in faults


def test_one_image_that_fails_takes_no_other_with_it(
    store: Store, model_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong: the others have their answers, and this one is told of and not tried for ever."""
    tall = np.random.default_rng(1).integers(0, 255, (41, 40), np.uint8)
    Picture.fromarray(tall).save(tmp_path / "tall.png")

    def fail(image: Image, settings: ImageSettings) -> Any:
        if image.pixels.shape[0] == 41:
            raise ZeroDivisionError
        return prepare(image, settings)

    monkeypatch.setattr(stream, "prepare", fail)
    files = [arrive(store, path) for path in (pictures[0], tmp_path / "tall.png", *pictures[1:])]
    Intake(store).take(files, came_by="rest", who="me", together="1.2.3")
    Answerer(store, ServedModel(model_folder)).answer_waiting()
    with store.read() as session:
        states = list(session.scalars(select(Instance.state).order_by(Instance.id)))
        study = session.scalars(select(Study)).one()
    assert states == ["answered", "refused", "answered", "answered"]
    assert (study.n_answered, study.n_refused) == (4, 1)


def test_an_image_that_kills_the_process_that_predicts_kills_no_other(
    store: Store, model_folder: Path, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them among images that several threads ask for."""
    _take(store, slices)
    with store.read() as session:
        rows = list(session.scalars(select(Instance).order_by(Instance.id)))
    deadly = {rows[1].sha256, rows[10].sha256}
    ask = _Child.ask

    def kill(self: _Child, paths: Sequence[str], *, maps: bool) -> Any:
        if deadly & {Path(path).name for path in paths}:  # before it is asked: it must not be quicker
            os.kill(self._process.pid or 0, signal.SIGKILL)
        return ask(self, paths, maps=maps)

    monkeypatch.setattr(_Child, "ask", kill)
    model = ServedModel(model_folder, apart=True)
    answerer = Answerer(store, model)
    answerer.start()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with store.read() as session:
            states = list(session.scalars(select(Instance.state).order_by(Instance.id)))
        if "waiting" not in states:
            break
        time.sleep(0.05)
    answerer.stop()
    model.close()
    assert states == ["refused" if number in (1, 10) else "answered" for number in range(12)]
