"""`overread checklist`: a run's part of the reporting checklists that journals ask for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from overread.errors import SettingsError

ABOUT = """\
Fills in CLAIM 2024 (44 items) and TRIPOD+AI 2024 (27 items, 52 with their
parts) from a model folder: numbers, settings and results where the run knows
them, and a mark where the answer is yours. Reads the folder, trains nothing."""
EXAMPLE = """\
overread checklist runs/first --out checklists.md
overread checklist runs/first --out checklists.html
overread checklist runs/first --which claim --format json"""
LISTS = ("claim", "tripod", "both")
FORMATS = ("md", "html", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("--which", choices=LISTS, default="both", help="the checklist (default: both)")
    parser.add_argument(
        "--format", choices=FORMATS, help="how to write it (default: the ending of --out, else md: Markdown)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there instead of printing it")


def run(args: argparse.Namespace) -> int:
    """Fill in the checklists, write them, and count what is answered and what is left to the person."""
    form = _form(args)
    from overread.disk import write_atomically
    from overread.report.checklist import fill_in
    from overread.report.checklist_page import counts, write

    reporting = fill_in(args.model, args.which)
    text = write(reporting, form)
    if args.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(args.out, text)
    told = [counts(filled) for filled in reporting.lists]
    told += [f"Written to {args.out}."] if args.out else []
    print("\n".join(told), file=sys.stdout if args.out else sys.stderr)
    return 0


def _form(args: argparse.Namespace) -> str:
    """What was asked for, else what the ending of the file says."""
    if args.format is not None:
        return str(args.format)
    ending = "md" if args.out is None else args.out.suffix.removeprefix(".").casefold()
    if ending == "markdown":
        return "md"
    if ending not in FORMATS:
        raise SettingsError(
            f"--out {args.out} ends in none of .md, .html and .json. Name the form too: --format {'|'.join(FORMATS)}."
        )
    return ending
