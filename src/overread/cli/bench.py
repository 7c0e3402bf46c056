"""`overread bench`: this machine against its own limits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags
from overread.run.bench_rows import BenchSettings
from overread.settings import from_dict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from overread.run.bench import Bench
    from overread.run.bench_rows import Row

ABOUT = """\
Measures what this machine can do at most (multiply matrices, copy memory), and
what overread makes of that when it reads, trains and predicts: images a second,
and the share of the limit. A low share is worth a look, and it says where; a
high one means that only another machine would be faster. The images are
synthetic, no weights are fetched, and nothing is kept. About a minute on two
cores; close other programs before. Without PyTorch it measures reading, and
the prediction of a model folder."""
EXAMPLE = """\
overread bench
overread bench runs/first        # predict with this model
overread bench --backbone resnet50 --batch-size 64
overread bench --json"""
NAME_WIDTH = 25
PROSE = 110
"""characters: wider lines are hard to read"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="a model folder to predict with (default: a network of random weights, as fast as any)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_flags(parser, BenchSettings, title="what is measured")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the table or JSON."""
    from overread.cli.console import ConsoleWatcher
    from overread.cli.terminal import Terminal
    from overread.run.bench import bench

    settings = from_dict(BenchSettings, given_flags(args, BenchSettings))
    with ConsoleWatcher(Terminal(stderr=True, soft_wrap=True)) as watch:
        found = bench(settings, model=args.model, watch=watch)
    if args.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(found, Terminal())
    return 0


def _print(found: Bench, console: Console) -> None:
    """The machine, its limits, the work, and what to do where a share is low."""
    console.width = min(console.width, PROSE)
    console.print(_machine_in_words(found), markup=False)
    _print_limits(found.limits, console)
    _print_work(found.work, console)
    _print_notes((*found.limits, *found.work), console)
    for sentence in found.remarks:
        console.print(sentence, style="yellow", markup=False)
    console.print(
        f"{found.seconds:.0f} s. Limits are the best round, the rest the median; the range is of all rounds.",
        style="dim",
        markup=False,
    )


def _machine_in_words(found: Bench) -> str:
    machine, packages = found.machine, ("python", "numpy", "torch", "onnxruntime")
    parts = [str(machine["processor"]), f"{machine['cores']} cores"]
    if machine["memory_gb"]:
        parts.append(f"{machine['memory_gb']:.0f} GB")
    parts.append(machine["gpu"] or "no GPU")
    parts += [f"{name} {found.versions[name]}" for name in packages if name in found.versions]
    return ", ".join(parts) + "."


def _new_table(title: str, first: str, *headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True, style="cyan", min_width=NAME_WIDTH)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _print_limits(rows: tuple[Row, ...], console: Console) -> None:
    table = _new_table("What this machine can do at most", "", "best", "unit", "range")
    for row in rows:
        table.add_row(row.what, _short(row.value), row.unit, f"{_short(row.low)} to {_short(row.high)}")
    console.print(table)


def _print_work(rows: tuple[Row, ...], console: Console) -> None:
    table = _new_table("What overread makes of it, in images a second", "", "median", "range", "limit", "share")
    for row in rows:
        limit, share = ("", "") if row.limit is None else (_short(row.limit), f"{row.share:.0%}")
        table.add_row(row.what, _short(row.value), f"{_short(row.low)} to {_short(row.high)}", limit, share)
    console.print(table)


def _print_notes(rows: tuple[Row, ...], console: Console) -> None:
    """What each limit is, and what to do: a paragraph a line."""
    from rich.table import Table
    from rich.text import Text

    console.print("Where it is low", style="bold")
    notes = Table(box=None, pad_edge=False, show_header=False)
    notes.add_column(style="cyan", min_width=NAME_WIDTH, overflow="fold")
    notes.add_column(overflow="fold")
    for row in rows:
        notes.add_row(row.what, Text(f"Limit: {row.of}. {row.do}" if row.of else row.do))
    console.print(notes)
    console.print()


def _short(value: float) -> str:
    """A number in three digits, or whole.

    >>> _short(5.234), _short(87.66), _short(1234.5)
    ('5.23', '87.7', '1,234')
    """
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"
