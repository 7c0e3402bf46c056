"""What a run answers, by the name that a checklist's item gives to its question."""

from __future__ import annotations

from overread.report.answers import certainty, data, model, results
from overread.report.answers.answer import Answer, Answering

__all__ = ["ANSWERS", "Answer", "Answering"]

_ALL: tuple[Answering, ...] = (
    data.source,
    data.exclusions,
    data.subsets,
    data.preparation,
    data.preparation_and_checks,
    data.deidentification,
    data.missing,
    data.outcome,
    data.assignment,
    data.separation,
    data.sample_size,
    data.flow,
    data.numbers,
    data.shares,
    data.differences,
    data.imbalance,
    model.technology,
    model.intended_use,
    model.goal,
    model.architecture,
    model.predictors,
    model.measured_predictors,
    model.software,
    model.code,
    model.initial,
    model.training,
    model.selection,
    model.building,
    model.ensemble,
    model.output,
    model.calculation,
    model.specification,
    model.details,
    model.availability,
    model.poor_input,
    model.interaction,
    results.summary,
    results.metrics,
    results.all_metrics,
    results.uncertainty,
    results.internal,
    results.external,
    results.performance,
    results.performance_and_groups,
    results.diagnostic,
    results.failures,
    results.limitations,
    results.updating,
    results.verdict,
    certainty.acquisition,
    certainty.characteristics,
    certainty.fairness,
    certainty.clusters,
    certainty.robustness,
    certainty.explainability,
)
ANSWERS = {answer.__name__: answer for answer in _ALL}
"""by the word that stands in a checklist's file; an item without one is for the person"""
