"""`overread deidentify`: DICOM files without who is shown, by whom, where and when."""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.flags import add_flags, given_flags
from overread.data.deidentify import DeidentifySettings
from overread.disk import remove_leftovers
from overread.errors import ImageError, SettingsError
from overread.settings import from_dict

if TYPE_CHECKING:
    from overread.run.deidentify import Outcome

ABOUT = """\
Writes copies by the Basic Profile of PS3.15 Annex E: attributes that name
people, places and times are removed, emptied or replaced at every depth,
private ones and overlays go, those in spare bits of pixels too, UIDs are
mapped. The same key gives the same patient the same name in every run, and
references between files hold. The values of pixels stay as they are: files that
may have text in them are set aside unless --anyway is given, and slices of a
head still show a face to who reconstructs it. Run it again, and it goes on
where it was: copies that these options would make otherwise are made again, and
it says how many in the folder it did not make."""
EXAMPLE = """\
overread deidentify scans/ --out clean/
overread deidentify scans/ --out clean/ --key site.key --shift-dates
overread deidentify us/ --out clean/ --anyway --keep-characteristics"""
SOME_NOT_WRITTEN = 2
REPORT = "deidentified.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE-OR-FOLDER", help="DICOM files, or folders of them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the copies go")
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="the key that pseudonyms come from; made where it is not there (default: FOLDER.key beside --out)",
    )
    parser.add_argument("--anyway", action="store_true", help="write files that may have text in their pixels too")
    add_flags(parser, DeidentifySettings, title="options of PS3.15 E.3")


def run(args: argparse.Namespace) -> int:
    """Clean all files; exit code 2 where some were not written."""
    from rich.progress import track

    from overread.cli.terminal import Terminal
    from overread.predict import image_files
    from overread.run.deidentify import Deidentifier, key_of

    place = args.out.resolve()
    if not place.name:
        raise SettingsError(f"--out {args.out} is the whole disk. Choose a folder.")
    key = args.key or (args.out if args.out.name not in ("", "..") else place).with_name(f"{place.name}.key")
    if place in key.resolve().parents:
        raise SettingsError(
            f"--key {key} lies in --out: who gets the copies would get the key. Choose another place."
        )
    _check_apart(args.files, args.out)
    total = sum(1 for _ in image_files(args.files))
    if not total:
        raise ImageError(f"No files in {', '.join(map(str, args.files))}. Give DICOM files, or folders of them.")
    names, is_new = key_of(args.out, key)
    if is_new:
        print(
            f"The key is new: {key}. Keep it, and keep it to yourself: with it names lead back to patients.",
            flush=True,
        )
    settings = from_dict(DeidentifySettings, given_flags(args, DeidentifySettings))
    worker = Deidentifier(out=args.out, names=names, settings=settings, anyway=args.anyway)
    console = Terminal(stderr=True)
    found = track(worker.run(image_files(args.files)), "de-identifying", total=total, console=console, transient=True)
    states, why, made = _write_report(args.out, iter(found))
    print(", ".join(f"{n} {state}" for state, n in states.items()) + f". They are in {args.out}, listed in {REPORT}.")
    for reason, n in why.most_common(10):
        print(f"! {n} not written: {reason}")
    n_others = sum(1 for path in args.out.rglob("*.dcm") if str(path.relative_to(args.out)) not in made)
    if n_others:
        print(f"! Not of this run, so that other options may have made them: {n_others} DICOM files in {args.out}.")
    print("Not looked for: text inside the body, faces that slices of a head show, what a case tells by itself.")
    return SOME_NOT_WRITTEN if why else 0


def _check_apart(files: Sequence[Path], out: Path) -> None:
    """Raise SettingsError where copies and what is to be cleaned would lie together."""
    place = out.resolve()
    for path in files:
        source = path.resolve()
        if place == source or source in place.parents:
            raise SettingsError(
                f"--out {out} lies in {path}, whose files are to be cleaned: copies would be cleaned again. "
                "Choose a folder beside it."
            )
        if place in source.parents:
            raise SettingsError(
                f"{path} lies in --out {out}: who gets the copies would get what is to be cleaned. "
                "Choose a folder beside it."
            )


def _write_report(out: Path, found: Iterator[Outcome]) -> tuple[Counter[str], Counter[str], set[str]]:
    """List each file as it is done; returns how many of each state, why some were not written, and the copies."""
    states: Counter[str] = Counter()
    why: Counter[str] = Counter()
    made: set[str] = set()
    for folder in {part.parent for part in out.rglob(".part-*")}:
        remove_leftovers(folder)
    with (out / REPORT).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["source", "state", "file", "why"])
        for one in found:
            writer.writerow([one.source, one.state, one.file, one.why])
            states[one.state] += 1
            made.add(one.file)
            if one.state in ("set aside", "refused"):
                why[one.why] += 1
    return states, why, made
