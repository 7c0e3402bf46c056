"""Answers from `evaluation.json`: calibration, sets of classes, subgroups. Without it they are for the person."""

from __future__ import annotations

import math
from collections.abc import Collection

from overread.report.answers.answer import Answer, known
from overread.report.answers.data import numbers
from overread.report.evaluated import Group
from overread.report.known import Known

_ACQUIRED = ("scanner", "kernel", "slice thickness")
_OF_PERSONS = ("sex", "age (years)")
_CLUSTERS = ("site", "scanner")


def acquisition(run: Known) -> Answer:
    """Scanners, kernels and slice thicknesses of the test part."""
    return known(*_mixes(run, _ACQUIRED))


def characteristics(run: Known) -> Answer:
    """Classes by part, and what is known of the patients of the test part."""
    return known(*numbers(run).known, *_mixes(run, (*_OF_PERSONS, "site")))


def fairness(run: Known) -> Answer:
    """Figures by sex and age, where they were measured; no more was done."""
    found = group_sentences(run, _OF_PERSONS)
    return known("overread measured the model's performance by sex and age:", *found) if found else Answer()


def clusters(run: Known) -> Answer:
    """Figures by site and scanner."""
    return known(*group_sentences(run, _CLUSTERS))


def robustness(run: Known) -> Answer:
    """How the figures change with what the image was made by."""
    found = group_sentences(run, _ACQUIRED)
    return known(*found, f"One network was trained, with seed {run.record.train.seed}." if found else "")


def explainability(run: Known) -> Answer:
    """Where the evidence lies, and which controls the maps of it have stood."""
    if run.explained is None:
        return Answer()
    checked = [
        f"Maps of the kind {kind} were put through {n} controls and failed {len(failed)}"
        f"{': ' + '; '.join(failed) if failed else ''}."
        for kind, (n, failed) in run.explained.checks.items()
    ]
    return known(
        f"Each prediction comes with a map of evidence ({run.explained.method}).",
        *run.explained.says,
        *(checked or ["The maps were not put through controls (overread explain MODEL --check)."]),
    )


def group_sentences(run: Known, facts: Collection[str] | None = None) -> list[str]:
    """A sentence for each fact that tells patients of the test part apart, with the figures of each group."""
    groups = run.evaluated.groups if run.evaluated else ()
    chosen = dict.fromkeys(group.fact for group in groups if facts is None or group.fact in facts)
    sentences = []
    for fact in chosen:
        told = "; ".join(_figures(group) for group in groups if group.fact == fact)
        sentences.append(f"Test part by {fact}: {told}.")
    return sentences


def _figures(group: Group) -> str:
    if group.accuracy is None:
        return f"{group.value} (too few for a figure)"
    area = f", AUROC {group.auroc}" if group.auroc else ""
    return f"{group.value} ({_size(group)}) accuracy {group.accuracy}{area}"


def _mixes(run: Known, facts: Collection[str]) -> list[str]:
    groups = run.evaluated.groups if run.evaluated else ()
    sentences = []
    for fact in dict.fromkeys(group.fact for group in groups if group.fact in facts):
        told = "; ".join(f"{group.value} ({_size(group)})" for group in groups if group.fact == fact)
        sentences.append(f"Test part by {fact}: {told}.")
    return sentences


def _size(group: Group) -> str:
    """How large a group is; a very small one could name a person, and is not counted out."""
    if group.accuracy is None:
        return "very few"
    return f"{group.n_images} images" + ("" if group.n_patients is None else f" of {group.n_patients} patients")


def calibration_sentences(run: Known) -> list[str]:
    """How far the probabilities of each class mean what they say, and what the sets of classes hold."""
    if run.evaluated is None:
        return []
    told = [
        f"Calibration of {one.label}: expected calibration error {one.error:.3f} (by chance {one.by_chance:.3f}), "
        f"slope {one.slope}, intercept {one.intercept}."
        for one in run.evaluated.calibration
        if not math.isnan(one.error)
    ]
    coverage = run.evaluated.coverage
    return [*told, f"Sets of classes hold the true one for {coverage} of the test images." if coverage else ""]
