"""A result and its second read: all that follows from what the network said, and the pages that tell of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from overread.audit.audit import Audit
from overread.evaluate.second_read import SecondRead, second_read
from overread.evaluate.verdict import looking_reasons
from overread.explain.examples import Examples
from overread.explain.explanation import Explanation
from overread.model.weights import Weights
from overread.report.html import FILE as REPORT
from overread.report.html import write_report
from overread.report.model_card import FILE as MODEL_CARD
from overread.report.model_card import write_model_card
from overread.run.inputs import Inputs
from overread.run.job import Job
from overread.run.looking import evidence_pictures, example_pictures, explain_test, learnt_examples
from overread.run.report import finder, training_page
from overread.run.saying import Said
from overread.training.history import History


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a network said, and what it comes to."""

    said: Said
    audit: Audit | None
    read: SecondRead
    explained: Explanation
    examples: Examples


def read_result(job: Job, *, inputs: Inputs, said: Said, audit: Audit | None, marks: tuple[str, ...]) -> Result:
    """Measure everything; nothing is written. marks: the sentences that every output of the model must carry."""
    explained = explain_test(inputs, said, seed=job.train.seed)
    read = second_read(
        said.found,
        caution=said.caution,
        audit=audit,
        marks=marks,
        positive=job.train.positive,
        reasons=looking_reasons(explained.looking),
        seed=job.train.seed,
    )
    examples = learnt_examples(inputs, said)
    return Result(said=said, audit=audit, read=read, explained=explained, examples=examples)


def write_pages(job: Job, *, inputs: Inputs, weights: Weights, history: History, result: Result) -> None:
    """Write the report and the model card into `job.out`."""
    page = training_page(
        job,
        inputs=inputs,
        weights=weights,
        history=history,
        audit=result.audit,
        found=result.said.found,
        read=result.read,
    )
    page = dataclasses.replace(
        page,
        explained=result.explained,
        evidence=() if result.explained.is_withheld else evidence_pictures(inputs, result.said),
        examples=example_pictures(result.examples, finder(inputs)),
    )
    write_report(job.out / REPORT, page)
    write_model_card(job.out / MODEL_CARD, page)
