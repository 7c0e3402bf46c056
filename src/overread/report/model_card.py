"""The model card, in the form that the Hugging Face hub reads: a head in YAML, then Markdown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from overread.disk import write_atomically
from overread.evaluate.score import BRIEF, TABLE_HEADINGS, TITLES, as_table
from overread.report.page import Page

FILE = "MODEL_CARD.md"
YOURS = "*For you to fill in.*"
_HUB_NAMES = {"auroc": "roc_auc"}
"""what the hub calls a metric, where it has another name"""
_IN_HEAD = ("auroc", "accuracy", "balanced_accuracy", "f1")


def write_model_card(path: Path, page: Page) -> None:
    """Write the card of a training. RunError where it cannot be written."""
    write_atomically(path, render(page))


def render(page: Page) -> str:
    """The card as text: who it is for, what it was made from, what it is worth, and what it cannot do."""
    sections = [
        ("Is it to be believed?", _verdict(page)),
        ("What it is for", [page.intended_use, f"Who may use it, and for what: {YOURS}"]),
        (
            "What it was made from",
            [*page.data_words, _counts(page), f"How the labels were made, and by whom: {YOURS}"],
        ),
        ("How it was trained", [_table(("setting", "value"), page.training)]),
        ("What it is worth", _figures(page)),
        ("How sure it may be", _certainty(page)),
        ("Limits", ["\n".join(f"- {_plain(sentence)}" for sentence in page.limits)]),
        ("Ethics, consent and licence of the data", [YOURS]),
        ("How to use it", [_usage(page)]),
        ("How to do it again", [_table(("what", "value"), page.provenance)]),
    ]
    body = "\n\n".join(f"## {title}\n\n" + "\n\n".join(paragraphs) for title, paragraphs in sections)
    return f"---\n{_head(page)}---\n\n# {_plain(page.name)}\n\n{_plain(page.subtitle)}.\n\n{body}\n"


def _head(page: Page) -> str:
    """The YAML of the head; each value is JSON, which YAML contains."""
    score = page.read.score
    metrics = [
        {"type": _HUB_NAMES.get(m.name, m.name), "name": TITLES[m.name], "value": round(m.value, 4)}
        for m in score.measured
        if m.name in _IN_HEAD and m.label is None and not math.isnan(m.value)
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": page.dataset, "type": "private", "split": page.read.part},
        "metrics": metrics,
    }
    values: dict[str, Any] = {
        "library_name": "overread",
        "pipeline_tag": "image-classification",
        "license": "other",
        "tags": ["medical-imaging", "radiology", "transfer-learning", "not-a-medical-device"],
        "model-index": [{"name": page.name, "results": [result]}],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def _verdict(page: Page) -> list[str]:
    verdict = page.read.verdict
    reasons = "\n".join(f"{i}. {_plain(reason.text)}" for i, reason in enumerate(verdict.deciding, start=1))
    marks = "\n".join(f"> {_plain(mark)}" for mark in page.read.marks)
    words = [f"**{verdict.words}.**", reasons, *([marks] if marks else [])]
    return [*words, "The whole second read is in `report.html`."]


def _counts(page: Page) -> str:
    rows = [(name, *cells) for name, cells in page.counts]
    return "Images (patients) of each class in each part:\n\n" + _table(("class", *page.counted_parts), rows)


def _figures(page: Page) -> list[str]:
    rows, read = as_table(page.read.score, BRIEF), page.read.score
    of = "patients unknown" if read.n_patients is None else f"of {read.n_patients} patients"
    return [f"On {read.n_images} images ({of}) of the {read.part} part, by image:", _table(TABLE_HEADINGS, rows)]


def _certainty(page: Page) -> list[str]:
    caution = page.read.caution
    return [
        f"- Temperature {caution.temperature:.3f}: {_plain(caution.temperature_why)}.\n"
        f"- Sets of classes: {_plain(caution.sets_why)}.\n"
        f"- Images unlike the training images: {_plain(caution.far_why)}."
    ]


def _usage(page: Page) -> str:
    return (
        '```python\nimport overread\n\nmodel = overread.load("PATH_OF_THIS_FOLDER")\n'
        'print(model.predict_image(overread.read_image("scan.dcm")))\n```'
    )


def _table(headings: tuple[str, ...], rows: Any) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names of classes and files may hold anything."""
    flat = " ".join(text.split())
    for sign in "\\`*_[]|":
        flat = flat.replace(sign, f"\\{sign}")
    return flat.replace("<", "&lt;")
