"""`overread audit`: the second read of the data, before anything is trained on them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags
from overread.cli.train import add_ignore, add_workers, check_workers, ignored, n_workers
from overread.data.cohort import CohortSettings
from overread.errors import SettingsError
from overread.settings import ImageSettings, TrainSettings, from_dict

if TYPE_CHECKING:
    from rich.console import Console

    from overread.audit.audit import Audit
    from overread.audit.check import Finding

ABOUT = """\
Looks for what makes a model's figures too good: a patient or an image in
training and in test, classes that can be told without the disease, wrong
labels, bad images; and for names in headers. Says what it found, where, how
sure it is, and what to do. Exit code 1 where no figure could be believed.
Nothing is trained, and nothing is changed."""
EXAMPLE = r"""
overread audit scans/
overread audit list.csv --out second-read  # writes second-read/audit.json
overread audit scans/ --patient-regex 'case(\d+)_' --json
overread audit scans/ --ignore L06 --why "one picture a patient"
overread audit --list""".strip()
NOT_BELIEVED = 1
STYLES = {"fatal": "bold red", "serious": "bold yellow", "note": "dim"}
SHOWN = 3
PROSE = 110
"""characters: wider lines are hard to read"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("source", nargs="?", type=Path, metavar="DATA", help="images, as for overread train")
    parser.add_argument("--list", action="store_true", help="print every check, and what it rests on")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write audit.json there")
    add_ignore(parser)
    add_workers(parser)
    kept = ("split", "seed", "backbone", "weights", "val_fraction", "test_fraction", "calibrate_fraction")
    others = tuple(field.name for field in dataclasses.fields(TrainSettings) if field.name not in kept)
    add_flags(parser, TrainSettings, title="the training to come", omit=others)
    add_flags(parser, ImageSettings, title="images")
    add_flags(parser, CohortSettings, title="list of images")


def run(args: argparse.Namespace) -> int:
    """Audit, and print what was found, or the list of the checks."""
    if args.list:
        _print_checks()
        return 0
    if args.source is None:
        raise SettingsError("Give the images to audit: overread audit DATA; or --list for the checks.")
    check_workers(args)
    from overread.cli.console import ConsoleWatcher
    from overread.cli.terminal import Terminal
    from overread.run.audit import audit_source
    from overread.run.job import Job

    job = Job(
        source=args.source,
        out=args.out or Path(),
        train=from_dict(TrainSettings, given_flags(args, TrainSettings)),
        image=from_dict(ImageSettings, given_flags(args, ImageSettings)),
        cohort=from_dict(CohortSettings, given_flags(args, CohortSettings)),
        workers=n_workers(args),
        ignore=ignored(args),
    )
    began = time.monotonic()
    with ConsoleWatcher(Terminal(stderr=args.json, soft_wrap=True)) as watch:
        found = audit_source(job, watch=watch, keep=args.out is not None)
    if args.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(found, seconds=time.monotonic() - began, out=args.out)
    return NOT_BELIEVED if found.worst == "fatal" else 0


def _print(found: Audit, *, seconds: float, out: Path | None) -> None:
    from overread.audit.audit import FILE
    from overread.cli.terminal import Terminal

    console = Terminal()
    console.width = min(console.width, PROSE)
    patients = "patients unknown" if found.n_patients is None else f"{found.n_patients} patients"
    console.print(
        f"{found.n_images} images, {patients}; {len(found.asked)} checks in {seconds:.0f} s.\n", markup=False
    )
    for finding in found.findings:
        _print_finding(finding, console)
    for finding in found.ignored:
        console.print(f"ignored  {finding.code}  {finding.title}", style="dim", markup=False)
        console.print(f"              Because: {found.why[finding.code]}\n", style="dim", markup=False)
    console.print(f"Verdict: {found.verdict}", style=STYLES[found.worst].replace("dim", "bold"), markup=False)
    where = f"Every image is named in {out / FILE}" if out else "Every image: --out FOLDER, or --json"
    console.print(f"{where}. What a check rests on: overread audit --list", markup=False)


def _print_finding(finding: Finding, console: Console) -> None:
    from rich.padding import Padding
    from rich.text import Text

    head = Text(f"{finding.severity:<8} {finding.code}  {finding.title}", style=STYLES[finding.severity])
    console.print(head)
    lines = [finding.what, f"Do: {finding.do}"]
    if finding.where:
        more = f", and {finding.n - SHOWN} more" if finding.n > SHOWN and len(finding.where) > SHOWN else ""
        lines.insert(1, f"Such as: {', '.join(finding.where[:SHOWN])}{more}")
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 14), expand=False))
    console.print()


def _print_checks() -> None:
    from rich.table import Table
    from rich.text import Text

    from overread.audit.audit import CHECKS
    from overread.cli.terminal import Terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("code", "severity", "finds", "because"):
        table.add_column(heading, overflow="fold")
    for check in CHECKS:
        table.add_row(check.code, check.severity, Text(check.title), Text(check.reference, style="dim"))
    Terminal().print(table)
