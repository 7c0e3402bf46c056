"""Answers on the results: which figures, how sure they are, and what went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable

from overread.evaluate.score import BRIEF, TITLES, Score, notes
from overread.report.answers.answer import Answer, capital, joined, known, size_of, sizes
from overread.report.answers.certainty import calibration_sentences, group_sentences
from overread.report.answers.data import audit_sentences
from overread.report.answers.model import technology
from overread.report.known import Known
from overread.stats.intervals import Measured

_WIDEST = 6
"""classes, up to which the whole confusion table is told in words"""
_MOST_CONFUSED = 5
_PLOTS = {
    "figures/learning-curves": "learning curves",
    "figures/roc": "ROC curves",
    "figures/confusion": "the confusion table",
    "figures/calibration": "calibration",
}


def summary(run: Known) -> Answer:
    """What an abstract could say."""
    figures = f"On the {run.score.part} part, with 95 % intervals: {_overall(run.score, BRIEF)}"
    return known(*technology(run).known, sizes(run.division), figures)


def metrics(run: Known) -> Answer:
    """The names of the figures that were measured."""
    together = [TITLES.get(name, name) for name in _names(run.score, whole=True)]
    single = [TITLES.get(name, name) for name in _names(run.score, whole=False)]
    whose = f"that of {run.score.positive}" if run.score.positive else "the mean over the classes"
    return known(
        f"Of all classes together: {joined(together)}. Of each class against the others: {joined(single)}.",
        f"The one AUROC of all is {whose}.",
    )


def all_metrics(run: Known) -> Answer:
    """The figures and the plots, with those of calibration and usefulness where they were measured."""
    drawn = [words for stem, words in _PLOTS.items() if any(name.startswith(stem) for name in run.card.files)]
    plots = f"Plots: {joined(drawn)}." if drawn else ""
    if run.evaluated is None:
        add = "Calibration and clinical usefulness were not measured: add them, or say why not."
        return known(*metrics(run).known, plots, add=add)
    return known(
        *metrics(run).known,
        "Calibration of each class: expected calibration error beside what chance would show, slope and intercept.",
        "Usefulness: predictive values, likelihood ratios and net benefit (decision curves) at a threshold for each "
        "class against the others."
        if run.evaluated.thresholds
        else "",
        "Certainty: how often sets of classes hold the true one." if run.evaluated.coverage else "",
        plots,
        add="Say why these measures suit your question.",
    )


def _names(score: Score, *, whole: bool) -> list[str]:
    return list(dict.fromkeys(one.name for one in score.measured if (one.label is None) == whole))


def uncertainty(run: Known) -> Answer:
    """How the intervals were made, in the words that came with them."""
    names: dict[str, list[str]] = {}
    for one in run.score.measured:
        if one.label is None:
            names.setdefault(one.method, []).append(TITLES.get(one.name, one.name))
    methods = [f"{capital(joined(titles))}: {method}." for method, titles in names.items()]
    return known(
        "Intervals are at 95 %; metrics.json names the method of each.",
        *methods,
        *_weaknesses(run.score),
        "No test of significance between models was made.",
    )


def internal(run: Known) -> Answer:
    """The test part, looked at once."""
    tested = size_of(run.score.n_images, run.score.n_patients)
    return known(
        f"The test part ({tested}) was scored once, at the end of the run; nothing was fitted or chosen on it: "
        f"{_overall(run.score, ('accuracy', 'auroc'))}",
    )


def external(run: Known) -> Answer:
    """Whether the model folder knows of any."""
    unit = str(run.record.found.get("split", run.record.train.split))
    if unit.startswith("site"):
        name = unit.removeprefix("site:").removeprefix("site").strip()
        return known(f"The test part is all of site {name}, from which no image was trained on.")
    return known("This run tested on images of its own list alone; the model folder holds no test on other data.")


def performance(run: Known) -> Answer:
    """Every figure with its interval."""
    pooled = run.evaluated.by_patient if run.evaluated else None
    by_patient = f"By patient (mean of the images' probabilities): {_overall(pooled, BRIEF)}" if pooled else ""
    return known(
        f"On {size_of(run.score.n_images, run.score.n_patients)} of the {run.score.part} part, with 95 % intervals: "
        f"{_overall(run.score, tuple(TITLES))}",
        by_patient,
        *_weaknesses(run.score),
    )


def performance_and_groups(run: Known) -> Answer:
    """Every figure, and those of subgroups."""
    groups = group_sentences(run, ("sex", "age (years)", "site"))
    add = "" if groups else "Give the performance in key subgroups, such as sex and age."
    each = _each_class(run.score)
    return known(*performance(run).known, *each, *calibration_sentences(run), *groups, add=add)


def diagnostic(run: Known) -> Answer:
    """Sensitivity, specificity and their like, class by class."""
    points = run.evaluated.thresholds if run.evaluated else ()
    at = [
        f"{one.label} at the threshold {one.value:.3f}, predictive values at a prevalence of {one.prevalence:.3f}: "
        f"{_listed(one.figures)}."
        for one in points
        if all(figure.label == one.label for figure in one.figures)
    ]
    return known(*_each_class(run.score), *at)


def _overall(score: Score, names: tuple[str, ...]) -> str:
    figures = [one for one in score.measured if one.label is None and one.name in names]
    return f"{_listed(figures)}."


def _each_class(score: Score) -> list[str]:
    found = []
    for label in score.classes:
        figures = [one for one in score.measured if one.label == label]
        if figures:
            found.append(f"{label}: {_listed(figures)}.")
    return found


def _listed(figures: Iterable[Measured]) -> str:
    values = ((one, "(no value)" if math.isnan(one.value) else str(one)) for one in figures)
    return ", ".join(f"{TITLES.get(one.name, one.name)} {value}" for one, value in values)


def _weaknesses(score: Score) -> list[str]:
    """What a reader of the intervals must know, but for what explains the dash of a table: here there is none."""
    return [note for note in notes(score) if not note.startswith("-:")]


def failures(run: Known) -> Answer:
    """What was taken for what."""
    n_wrong = sum(n for i, row in enumerate(run.score.confusion) for j, n in enumerate(row) if i != j)
    told = f"{n_wrong} of {run.score.n_images} test images were wrongly classified."
    shown = any(name.startswith("figures/test-predictions") for name in run.card.files)
    examples = "; figures/test-predictions shows examples" if shown else ""
    return known(told, *_confused(run.score), f"predictions.csv names every image{examples}.")


def _confused(score: Score) -> list[str]:
    if len(score.classes) <= _WIDEST:
        return [
            f"True {label}: {', '.join(f'{n} as {other}' for n, other in zip(row, score.classes, strict=True))}."
            for label, row in zip(score.classes, score.confusion, strict=True)
        ]
    pairs = [
        (n, label, other)
        for label, row in zip(score.classes, score.confusion, strict=True)
        for n, other in zip(row, score.classes, strict=True)
        if n and label != other
    ]
    most = sorted(pairs, key=lambda pair: -pair[0])[:_MOST_CONFUSED]
    told = "; ".join(f"{n} of {label} as {other}" for n, label, other in most)
    return [f"Most often: {told}. The whole table is in metrics.json."] if most else []


def limitations(run: Known) -> Answer:
    """What the run knows against itself."""
    marks = [f"{capital(mark)}." for mark in run.card.marks]
    if run.evaluated is not None:
        return known(*marks, *run.evaluated.reasons, _one_test(run))
    return known(*marks, *_weaknesses(run.score), *audit_sentences(run), _one_test(run))


def _one_test(run: Known) -> str:
    unit = str(run.record.found.get("split", run.record.train.split))
    if unit.startswith("site"):
        return ""
    return (
        "The test images come from the same list as the training images; how the model does elsewhere is not known."
    )


def updating(run: Known) -> Answer:
    """The run ends with its test."""
    return known("In this run nothing was changed after the test part had been scored.")


def verdict(run: Known) -> Answer:
    """What overread makes of the result."""
    if run.evaluated is None:
        return Answer()
    return known(f"overread's own verdict: {run.evaluated.verdict}.", *run.evaluated.reasons)
