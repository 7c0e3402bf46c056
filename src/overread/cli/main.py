"""The command line: finds the verb, runs it, and turns a failure into one line and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from overread import __version__
from overread.errors import OverreadError

VERBS = {
    "demo": "see it all work: make phantom patients, train, test, and write a model folder",
    "train": "train and test a classifier from your images",
    "predict": "classify images with a model folder",
    "compare": "train several networks on the same images, side by side",
    "replay": "train again from a run's record, and say whether the result is the same",
    "show": "print a network's layers and their parameters",
    "phantoms": "write synthetic CT patients with known lesions, as DICOM",
}

INTERRUPTED = 130
FAILED = 2


def make_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The whole parser, with the flags of one verb only: the others are not imported."""
    parser = argparse.ArgumentParser(
        prog="overread",
        description="Train a disease classifier from your own medical images, and find out whether to believe it.",
        epilog="First: overread demo. Then: overread train YOUR_FOLDER. Help on one of them: overread train --help.\n"
        "Research use, not a medical device.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"overread {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for name, sentence in VERBS.items():
        below = verbs.add_parser(
            name,
            help=sentence,
            description=sentence[0].upper() + sentence[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == verb:
            module = importlib.import_module(f"overread.cli.{name}")
            module.add_arguments(below)
            below.usage = f"overread {name} {_wanted(below)} [options]"
            below.epilog = f"Example:\n  {module.EXAMPLE}"
    return parser


def _wanted(parser: argparse.ArgumentParser) -> str:
    """What a verb cannot do without: its flags are many, and are listed below the usage line."""
    words = []
    for action in parser._actions:
        name = str(action.metavar or action.dest)
        if not action.option_strings:
            words.append(f"[{name}]" if action.nargs == "?" else f"{name}{' ...' if action.nargs == '+' else ''}")
        elif action.required:
            words.append(f"{action.option_strings[0]} {name}")
    return " ".join(words)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code: 0, 2 for a failure that its user can mend, 130 for Ctrl-C."""
    verb = next((word for word in arguments if word in VERBS), None)
    parser = make_parser(verb)
    args = parser.parse_args(arguments)
    try:
        module = importlib.import_module(f"overread.cli.{args.verb}")
        code: int = module.run(args)
        sys.stdout.flush()
        return code
    except OverreadError as failure:
        if args.debug:
            raise
        print(f"overread: {failure}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as failure:
        if args.debug or failure.name is None or failure.name.startswith("overread"):
            raise
        print(
            f"overread: {args.verb} needs {failure.name}, which is not installed. "
            "Install what training needs: pip install 'overread[train]'.",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("overread: stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
