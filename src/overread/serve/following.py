"""What a study and its images show follows from their answers and readings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from overread.predict import Prediction
from overread.serve.bounded import stream
from overread.serve.summary import add_answer, mean_probabilities
from overread.serve.tables import Answer, Instance, Reading, Series, Study
from overread.serve.told import Told

_NEAR = 1e-6
_ANSWERS = select(
    Answer.instance_id,
    Answer.frame,
    Answer.model,
    Answer.label,
    Answer.probabilities,
    Answer.abstains,
    Answer.problem,
)
_IMAGES = select(Instance.id, Instance.uid, Instance.n_frames, Instance.state, Instance.problem)


@dataclass
class _Looked:
    """What the answers to one image say of whether it could be used."""

    n: Counter[str] = field(default_factory=Counter)
    """answers of each model"""
    problems: list[str] = field(default_factory=list)


def differing(session: Session, told: Told) -> Iterator[str]:
    """In words what is shown otherwise than it follows, a study at a time; `missing` comes before."""
    for study in stream(session, select(Study).order_by(Study.id)).scalars():
        images = session.execute(_IMAGES.join(Series).where(Series.study_id == study.id)).all()
        again, looked = _again(session, study.id, loosely={image.id for image in images if image.id in told.loosely})
        for image in images:
            if image.id not in told.ended and not _may_be(image, looked.get(image.id)):
                yield f"Image {image.uid} is marked otherwise than its answers give: waiting, answered or refused."
        yield from (f"Study {study.uid} {words}." for words in _shown(study, again))
        if (study.n_images, study.n_answered, study.n_refused) != _counts(images):
            yield f"Study {study.uid} counts other images than it has."
        if (study.verdict, study.reader_label) != _last_word(session, study.id):
            yield f"Study {study.uid} shows another verdict than its last reading gives."


def _again(session: Session, study: int, *, loosely: set[int]) -> tuple[Study, dict[int, _Looked]]:
    """The summary made anew, from the answers in the order in which they came: each new model began it afresh."""
    again = Study(model="", sums={}, n_frames=0, label="", probability=0.0, abstains="")
    looked = {image: _Looked() for image in loosely}
    asked = _ANSWERS.join(Instance).join(Series).where(Series.study_id == study).order_by(Answer.id)
    for answer in stream(session, asked):
        add_answer(again, _prediction(answer), model=answer.model)
        if one := looked.get(answer.instance_id):
            one.n[answer.model] += 1
            one.problems += [answer.problem] if answer.problem else []
    return again, looked


def _prediction(answer: Row[*tuple[Any, ...]]) -> Prediction:
    return Prediction(
        path="",
        frame=answer.frame,
        label=answer.label or None,
        probabilities=answer.probabilities,
        abstains=answer.abstains or None,
    )


def _may_be(image: Row[*tuple[Any, ...]], looked: _Looked | None) -> bool:
    """Whether an image of whose end the trail does not tell can be in its state.

    One whose answers are older than such steps can be at its end. Of several frames the last ones decided, and a
    fault among them may stand in no answer: then a refusal is believed.
    """
    if looked is None:
        return (image.state, image.problem) == ("waiting", "")
    n = looked.n.total()
    if image.state == "refused":
        return image.problem in looked.problems or (image.n_frames > 1 and n > 0)
    if image.state == "answered":
        return n > len(looked.problems) and image.problem in ("", *looked.problems)
    return (image.state, image.problem) == ("waiting", "") and image.n_frames not in looked.n.values()


def _shown(study: Study, again: Study) -> Iterator[str]:
    """What a study shows that the summary made anew does not."""
    if study.label != again.label and not _is_near(mean_probabilities(again).get(study.label, -1), again.probability):
        yield "shows another class than its answers give"
    if not _is_near(study.probability, again.probability):
        yield "shows another probability than its answers give"
    if study.abstains != again.abstains:
        yield "shows another reason for silence than its answers give, or none"
    is_same = (study.model, study.n_frames) == (again.model, again.n_frames) and _are_near(study.sums, again.sums)
    if not is_same:
        yield "sums up other answers than it has"


def _are_near(sums: dict[str, Any], others: dict[str, Any]) -> bool:
    return sums.keys() == others.keys() and all(
        _is_near(value, others[name]) if isinstance(value, int | float) else value == others[name]
        for name, value in sums.items()
    )


def _is_near(value: float, other: Any) -> bool:
    return isinstance(other, int | float) and math.isclose(value, other, rel_tol=_NEAR, abs_tol=_NEAR)


def _counts(images: Sequence[Row[*tuple[Any, ...]]]) -> tuple[int, int, int]:
    """Images, those looked at, and those refused."""
    states = Counter(image.state for image in images)
    return len(images), len(images) - states["waiting"], states["refused"]


def _last_word(session: Session, study: int) -> tuple[str, str]:
    asked = (
        select(Reading.verdict, Reading.label).where(Reading.study_id == study).order_by(Reading.id.desc()).limit(1)
    )
    found = session.execute(asked).first()
    return (found.verdict, found.label) if found else ("", "")
