"""`overread store`: what a service keeps, and the proof that it is what it was."""

from __future__ import annotations

import argparse

from overread.cli.serve import add_store

ABOUT = """\
verify reads the whole audit trail, each step of which is bound to the one
before it by a hash. What the trail tells of must be there as it tells: images
with their files, answers and readers' words; what is there it must tell of; and
what the work list shows must follow from it. It prints the last hash: kept
elsewhere and given again by --expect, it also proves that nothing was cut off."""
EXAMPLE = """\
overread store verify
overread store verify --store /srv/overread --expect 3f1c9a07"""
BROKEN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("what", choices=("verify",), help="what to do")
    add_store(parser)
    parser.add_argument(
        "--expect",
        metavar="HASH",
        help="a last hash that an earlier verify printed, or 8 or more of its first digits",
    )


def run(args: argparse.Namespace) -> int:
    """Verify; exit code 2 where something does not hold."""
    from overread.serve.proof import prove
    from overread.serve.store import open_store

    store = open_store(args.store, url=args.database, make=False)
    try:
        found = prove(store, expect=args.expect)
    finally:
        store.close()
    counts = {
        "steps": found.n_steps,
        "answers": found.n_answers,
        "readings": found.n_readings,
        "files": found.n_files,
    }
    print(", ".join(f"{n:,} {what}" for what, n in counts.items()))
    for fault in found.faults:
        print(f"! {fault}")
    print(f"last hash {found.last_hash}")
    print("Something does not hold: see above." if found.faults else "All of it holds.")
    return BROKEN if found.faults else 0
