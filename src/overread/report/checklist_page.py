"""Filled-in checklists as Markdown, as one HTML page, and as JSON."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable

from overread.report.checklist import STATUSES, Filled, FilledChecklist, Reporting

YOURS = "For you to fill in."
ADD = "For you:"
HEADINGS = ("No.", "Item", "Answer", "Where in the manuscript")
_WORDS = {"answered": "answered", "partly": "partly answered", "yours": "yours"}
_BROKEN_BY = re.compile(r"([\\`*|<\[])")


def write(reporting: Reporting, form: str) -> str:
    """The text of a filled-in checklist; `form` is one of `FORMS`."""
    return FORMS[form](reporting)


def counts(filled: FilledChecklist) -> str:
    """How many items have which status: `CLAIM 2024: of 44 items 12 are answered, 22 partly, 10 are yours`."""
    answered, partly, yours = map(filled.count, STATUSES)
    return (
        f"{filled.checklist.name}: of {len(filled.rows)} items {answered} are answered, {partly} partly, "
        f"{yours} are yours"
    )


def _preface(reporting: Reporting) -> str:
    version = f", which overread {reporting.made_by} trained" if reporting.made_by else ""
    return (
        f"Made by overread checklist from the files of the model folder “{reporting.model}”{version}. Every answer "
        f"is made of the run's own values; what follows “{ADD.rstrip(':')}” no run can know. A filled-in item says "
        "that something is reported, not that it was done well: check each answer before you sign it, and use the "
        "wording of the published checklist, which is not repeated here."
    )


def _warnings(reporting: Reporting) -> list[str]:
    """The model's marks, and what cannot be answered because a file is gone."""
    lost = [
        f"{name} belongs to the model folder and is not there; what it says is left for you to fill in."
        for name in reporting.lost
    ]
    return [*(f"{mark[0].upper()}{mark[1:]}." for mark in reporting.marks), *lost]


def _reference(filled: FilledChecklist) -> str:
    return f"{filled.checklist.citation} doi:{filled.checklist.doi}"


def to_markdown(reporting: Reporting) -> str:
    """A table for each checklist with an item a row, under a row that names the section."""
    lines = ["# Reporting checklists", "", _escaped(_preface(reporting)), ""]
    for warning in _warnings(reporting):
        lines += [f"> **{_escaped(warning)}**", ""]
    for filled in reporting.lists:
        lines += [f"## {filled.checklist.name}", "", f"{counts(filled)}.", "", _reference(filled), ""]
        lines += [f"| {' | '.join(HEADINGS)} |", "|---|---|---|---|"]
        for section, rows in filled.by_section().items():
            lines += [f"| | **{section.upper()}** | | |", *map(_markdown_row, rows)]
        lines.append("")
    return "\n".join(lines)


def _markdown_row(row: Filled) -> str:
    item = row.item
    stage = f" *({item.stage})*" if item.stage else ""
    answer = [*map(_escaped, row.known)]
    if row.status != "answered":
        lead = YOURS if row.status == "yours" else ADD
        answer.append(" ".join([f"**{lead}**", *map(_escaped, row.add)]))
    return f"| {item.number} | **{_escaped(item.topic)}.** {_escaped(item.asks)}{stage} | {'<br>'.join(answer)} | |"


def _escaped(text: str) -> str:
    return _BROKEN_BY.sub(r"\\\1", " ".join(text.split()))


def to_html(reporting: Reporting) -> str:
    """One self-contained page; the last column can be typed into, and the page printed."""
    body = [f"<h1>Reporting checklists</h1><p>{html.escape(_preface(reporting))}</p>"]
    body += [f'<p class="warning">{html.escape(warning)}</p>' for warning in _warnings(reporting)]
    body += map(_html_list, reporting.lists)
    title = html.escape(f"Reporting checklists of {reporting.model}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n<style>{_CSS}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _html_list(filled: FilledChecklist) -> str:
    chips = "".join(
        f'<span class="chip {status}">{filled.count(status)} {_WORDS[status]}</span>' for status in STATUSES
    )
    checklist = filled.checklist
    link = f'<a href="https://doi.org/{checklist.doi}">doi:{checklist.doi}</a>'
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    rows = []
    for section, items in filled.by_section().items():
        rows.append(f'<tr class="section"><td colspan="4">{html.escape(section)}</td></tr>')
        rows += map(_html_row, items)
    return (
        f"<h2>{html.escape(checklist.name)}</h2>\n<p>{html.escape(checklist.title)}. {chips}</p>\n"
        f'<p class="reference">{html.escape(checklist.citation)} {link}</p>\n'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    )


def _html_row(row: Filled) -> str:
    item = row.item
    stage = f' <span class="stage">{html.escape(item.stage)}</span>' if item.stage else ""
    add = " ".join(row.add)
    lead = YOURS if row.status == "yours" else ADD
    answer = _paragraphs(row.known)
    if row.status != "answered":
        answer += f'<p class="add"><b>{lead}</b> {html.escape(add)}</p>'
    return (
        f'<tr class="{row.status}"><td>{item.number}</td>'
        f"<td><b>{html.escape(item.topic)}.</b> {html.escape(item.asks)}{stage}</td>"
        f'<td>{answer}</td><td contenteditable="true"></td></tr>'
    )


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)


def to_json(reporting: Reporting) -> str:
    """Every item with its status, for programs."""
    content = {
        "model": reporting.model,
        "overread": reporting.made_by,
        "marks": list(reporting.marks),
        "lost": list(reporting.lost),
        "checklists": [_plain(filled) for filled in reporting.lists],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _plain(filled: FilledChecklist) -> dict[str, object]:
    checklist = filled.checklist
    return {
        "name": checklist.name,
        "citation": checklist.citation,
        "doi": checklist.doi,
        "counts": {status: filled.count(status) for status in STATUSES},
        "items": [
            {
                "number": row.item.number,
                "section": row.item.section,
                "topic": row.item.topic,
                "stage": row.item.stage,
                "asks": row.item.asks,
                "status": row.status,
                "answer": list(row.known),
                "for_you": list(row.add),
            }
            for row in filled.rows
        ],
    }


FORMS: dict[str, Callable[[Reporting], str]] = {"md": to_markdown, "html": to_html, "json": to_json}
"""how a checklist can be written, by the word after --format and the ending of --out"""

_CSS = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2933; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { border: 1px solid #cbd2d9; padding: .45rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } td p { margin: 0 0 .35rem; } td p:last-child { margin: 0; }
th:nth-child(1) { width: 3rem; } th:nth-child(2) { width: 27%; } th:nth-child(4) { width: 12%; }
thead th { background: #f0f4f8; } .section td { background: #f0f4f8; font-weight: 600; }
tr.answered td:first-child { border-left: 5px solid #00735c; }
tr.partly td:first-child { border-left: 5px solid #de911d; }
tr.yours td:first-child { border-left: 5px solid #9aa5b1; }
.add { color: #7a3e00; } tr.yours .add { color: #52606d; }
.stage, .reference { color: #616e7c; font-size: 13px; }
.chip { border-radius: 1rem; padding: .1rem .6rem; margin-right: .4rem; color: #fff; font-size: 13px; }
.chip.answered { background: #00735c; } .chip.partly { background: #a85b00; } .chip.yours { background: #616e7c; }
.warning { background: #fff3c4; border: 1px solid #de911d; color: #7a3e00; padding: .5rem .8rem; font-weight: 600; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } }
"""
