"""What the answers to the images of one study come to: means, and no promise of their own."""

from __future__ import annotations

from overread.predict import Prediction
from overread.serve.tables import Study

_DOUBTS = "doubts"


def add_answer(study: Study, p: Prediction, *, model: str) -> None:
    """Add what the model said of one frame to what it said of the study.

    The study's class is that with the highest mean probability over all frames. The model is silent on the study
    where it is silent on more than half of them. What a set of classes promises holds for single images alone.
    """
    if study.model != model:
        study.model, study.sums, study.n_frames = model, {}, 0
    if not p.probabilities:
        return
    sums, doubts = dict(study.sums), dict(study.sums.get(_DOUBTS, {}))
    for name, probability in p.probabilities.items():
        sums[f"p:{name}"] = sums.get(f"p:{name}", 0.0) + probability
    if p.abstains:
        doubts[p.abstains] = doubts.get(p.abstains, 0) + 1
    study.n_frames += 1
    study.sums = {**sums, _DOUBTS: doubts}
    means = mean_probabilities(study)
    study.label = max(means, key=lambda name: means[name])
    study.probability = means[study.label]
    is_silent = 2 * n_silent(study) > study.n_frames
    study.abstains = max(doubts, key=lambda why: doubts[why]) if is_silent else ""


def mean_probabilities(study: Study) -> dict[str, float]:
    """Of each class its mean probability over the study's frames; empty where none is answered."""
    return {
        name.removeprefix("p:"): total / study.n_frames
        for name, total in study.sums.items()
        if name != _DOUBTS and study.n_frames
    }


def n_silent(study: Study) -> int:
    """On how many of the study's frames the model gives no answer."""
    return sum(study.sums.get(_DOUBTS, {}).values())


def silence(study: Study) -> str:
    """Why the model does not answer for the study, and for how many of its images; empty where it does."""
    if not study.abstains or study.n_frames == 1:
        return study.abstains
    return f"{study.abstains} ({n_silent(study)} of {study.n_frames} images without an answer)"
