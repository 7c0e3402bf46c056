"""Images of the store that wait are predicted, in batches over all who sent them, and each answer is written once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, bindparam, insert, select, update
from sqlalchemy.orm import Session

from overread.errors import OverreadError, ServiceError
from overread.predict import Prediction
from overread.serve.apart import DiedError
from overread.serve.claims import Claimed, Claims
from overread.serve.digest import FORM, digest_of
from overread.serve.model import ServedModel, pack_maps
from overread.serve.store import Store
from overread.serve.summary import add_answer
from overread.serve.tables import Answer, Instance, Series, Study, now
from overread.serve.trail import record

_log = logging.getLogger(__name__)

_ASK_AGAIN_S = 1.0
"""how often the store is asked for images that another process took in"""
_PATIENCE_S = 5.0
_FRAMES = 64
"""answers of one file that are held at once"""
# statements that are made once: making one takes as long as asking the database
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_STUDIES = (
    select(Study)
    .where(Study.id.in_(select(Series.study_id).join(Series.instances).where(Instance.id.in_(_IDS))))
    .order_by(Study.id)
    .with_for_update()
)
_IMAGES = (
    select(Instance.id, Instance.uid, Instance.sha256, Instance.state, Series.study_id)
    .join(Instance.series)
    .where(Instance.id.in_(_IDS))
)
_KNOWN = (
    select(Answer.instance_id, Answer.frame, Answer.problem)
    .where(Answer.instance_id.in_(_IDS), Answer.model == bindparam("model"))
    .order_by(Answer.frame)
)


@dataclass(frozen=True)
class _Said:
    image: Claimed
    predictions: list[Prediction]
    is_all: bool
    """whether these are the last of the image"""


@dataclass(frozen=True)
class _Row:
    """What is written of an image depends on this."""

    id: int
    uid: str
    sha256: str
    state: str
    study_id: int


class Answerer:
    """Threads that predict what waits, a few images each, until they are stopped: while one writes, others work."""

    def __init__(
        self, store: Store, model: ServedModel, *, on_answer: Callable[[list[str], int], None] | None = None
    ) -> None:
        self.store, self.model = store, model
        self.claims = Claims(store)
        self._lock_alone = threading.Lock()
        self._on_answer = on_answer or (lambda images, n: None)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"answerer {number}", daemon=True)
            for number in range(model.predictor.n_runs + 1)
        ]

    def start(self) -> None:
        """Begin, with what is left of processes that are gone."""
        self.claims.free_what_is_left()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is being predicted, give back what is not, and end."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=60)
        self.claims.give_back()

    def wake(self) -> None:
        """Say that something has come in."""
        self._wake.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if not self.answer_waiting():
                    self._wake.wait(_ASK_AGAIN_S)
            except OverreadError as fault:  # the database is away, or the disk is full: it may come back
                _log.warning("predictions wait: %s", fault.kind if isinstance(fault, ServiceError) else fault)
                self._stop.wait(_PATIENCE_S)
            except Exception:
                _log.exception("predictions wait after a fault of overread")
                self._stop.wait(_PATIENCE_S)

    def answer_waiting(self) -> int:
        """Predict all images that wait, those that come in meanwhile included; returns how many there were."""
        n = 0
        while not self._stop.is_set() and (claimed := self.claims.take()):
            try:
                self._answer_claimed(claimed)
            except BaseException:
                self.claims.owe(image.id for image in claimed)
                raise
            n += len(claimed)
        return n

    def _answer_claimed(self, claimed: Sequence[Claimed]) -> None:
        """Predict them together; where overread itself fails at that, each by itself."""
        try:
            self._answer_all(claimed)
        except (OverreadError, OSError):
            raise
        except Exception:
            _log.exception("a prediction failed after a fault of overread: its images are predicted one by one")
            for image in claimed:
                self._answer_alone(image)

    def _answer_all(self, claimed: Sequence[Claimed]) -> None:
        paths = [self.store.files.path_of(image.sha256) for image in claimed]
        held: list[_Said] = []
        for said in _by_image(claimed, self._keeping(self.model.predictor.predict_files(paths, maps=True))):
            held.append(said)
            if not said.is_all:
                self._write(held)
                held = []
        if held:
            self._write(held)

    def _keeping(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """The predictions, while what is claimed stays so: large files take longer than a claim lasts.

        Raises ServiceError where files cannot be read since their disk is away: that is no fault of theirs.
        """
        for p in predictions:
            self.claims.keep()
            if p.problem:
                self.store.files.check_there()
            yield p

    def _answer_alone(self, image: Claimed) -> None:
        """Predict one image; where that fails again it is told of, and not tried for ever."""
        for is_last in (False, True):
            try:
                with self._lock_alone:
                    self._answer_all([image])
            except (OverreadError, OSError):
                raise
            except Exception as fault:
                if isinstance(fault, DiedError) and not is_last:  # of another's image, it may be
                    continue
                _log.exception("an image cannot be predicted after a fault of overread")
                words = "This image cannot be predicted, which is a fault in overread. The log has more."
                p = Prediction(path=image.sha256, frame=0, label=None, probabilities={}, problem=words)
                self._write([_Said(image, [p], True)])
            return

    def _write(self, held: list[_Said]) -> None:
        """Write answers in one transaction, with a step of the trail for each image."""
        with self.store.begin() as session:
            rows, studies, there = self._lock(session, [said.image.id for said in held])
            answers: list[dict[str, Any]] = []
            ends: list[dict[str, Any]] = []
            for said in held:
                row = rows[said.image.id]
                study = studies[row.study_id]
                new = [(self._answer(row, p), p) for p in said.predictions if (row.id, p.frame) not in there]
                answers += (answer for answer, _ in new)
                for _, p in new:
                    add_answer(study, p, model=self.model.sha256)
                end: dict[str, Any] = {}
                if said.is_all and row.state == "waiting":  # else its claim ran out, and another was quicker
                    known = [problem for (image, _), problem in there.items() if image == row.id]
                    end = _end(row, study, [*known, *(p.problem or "" for p in said.predictions)])
                    ends.append(end)
                self._tell(session, row, [answer for answer, _ in new], end)
            if answers:
                session.execute(insert(Answer), answers)
            if ends:
                session.execute(update(Instance), ends)
        ended = [said.image.uid for said in held if said.is_all]
        self._on_answer(ended, sum(len(said.predictions) for said in held))

    def _tell(self, session: Session, row: _Row, new: Sequence[dict[str, Any]], end: dict[str, Any]) -> None:
        """Note in the trail what an image was answered, and what became of it where this was the last of it."""
        said: dict[str, Any] = {"of": [digest_of(answer) for answer in new], "form": FORM}
        if end:
            said["ended"] = [end["state"], end["problem"]]
        if new or end:
            record(session, who="model", did="answered", subject=row.uid, model=self.model.sha256, **said)

    def _lock(
        self, session: Session, ids: Sequence[int]
    ) -> tuple[dict[int, _Row], dict[int, Study], dict[tuple[int, int], str]]:
        """Images, their studies, and of each frame that this model has looked at its problem, if any.

        All of it stays as it is until the transaction ends. The studies come first, in the order of their IDs: who
        writes in another order may have to wait for ever.
        """
        these = {"ids": ids, "model": self.model.sha256}
        studies = session.scalars(_STUDIES, these).all()
        there = {(instance, frame): problem for instance, frame, problem in session.execute(_KNOWN, these)}
        rows = {found.id: found for found in (_Row(*row) for row in session.execute(_IMAGES, these))}
        return rows, {study.id: study for study in studies}, there

    def _answer(self, row: _Row, p: Prediction) -> dict[str, Any]:
        """A row of the table of answers."""
        maps, shape = pack_maps(p.class_maps)
        return {
            "instance_id": row.id,
            "frame": p.frame,
            "model": self.model.sha256,
            "label": p.label or "",
            "probabilities": p.probabilities,
            "classes": list(p.classes),
            "abstains": p.abstains or "",
            "problem": _without_path(p.problem or "", row.sha256),
            "maps": maps,
            "maps_shape": list(shape),
            "nearest": self.model.nearest(p.features),
            "answered_at": now(),
        }


def _end(row: _Row, study: Study, problems: Sequence[str]) -> dict[str, Any]:
    """Note with the study that an image has been looked at; returns what the image's row becomes.

    problems: of each of its frames, in their order; empty where it has an answer. One that has is enough.
    """
    state = "refused" if all(problems) else "answered"
    study.n_answered += 1
    study.n_refused += state == "refused"
    problem = _without_path(next(filter(None, problems), ""), row.sha256)
    return {"id": row.id, "state": state, "problem": problem, "claimed_by": "", "claimed_until": ""}


def _by_image(order: Sequence[Claimed], predictions: Iterable[Prediction]) -> Iterator[_Said]:
    """Predictions, frame by frame, as those of each image: a piece as soon as it is whole."""
    place = n_before = 0
    held: list[Prediction] = []
    for p in predictions:
        if held and p.path != held[-1].path:  # the file ended before all its frames came
            yield _Said(order[place], held, True)
            place, n_before, held = place + 1, 0, []
        held.append(p)
        if n_before + len(held) == order[place].n_frames:
            yield _Said(order[place], held, True)
            place, n_before, held = place + 1, 0, []
        elif len(held) == _FRAMES:
            yield _Said(order[place], held[:-1], False)
            n_before, held = n_before + len(held) - 1, held[-1:]
    if held:
        yield _Said(order[place], held, True)


def _without_path(problem: str, sha256: str) -> str:
    return problem.replace(sha256, "The image")
