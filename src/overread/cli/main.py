"""The command line: finds the verb, runs it, and turns a failure into one line and an exit code."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from overread import __version__
from overread.cli.workers import run_verb
from overread.errors import OverreadError

VERBS = {
    "demo": "see it all work: make phantom patients, train, test, and write a model folder",
    "audit": "look for what would make a model's figures too good",
    "train": "train and test a classifier from your images",
    "predict": "classify images with a model folder",
    "serve": "put a model in front of people: a web page and REST, on this machine",
    "deidentify": "write DICOM files without who is shown, by whom, where and when",
    "node": "put a model beside a PACS: images in, results out by DICOM",
    "token": "say who may use a service",
    "store": "look at what a service keeps, and prove that nobody changed it",
    "explain": "draw where in an image the evidence for the answer lies",
    "evaluate": "say what a model is worth, here or on images from elsewhere",
    "compare": "train several networks on the same images, side by side",
    "controls": "prove what a model's figures rest on, by training it wrongly on purpose",
    "checklist": "fill in a journal's reporting checklists from a model folder",
    "quantize": "make a model smaller and faster: its network in 8-bit integers",
    "replay": "train again from a run's record, and say whether the result is the same",
    "bench": "measure this machine: how near training and prediction come to its limits",
    "show": "print a network's layers and their parameters",
    "phantoms": "write synthetic CT patients with known lesions, as DICOM",
}

PREDICTING = ("predict", "serve", "node")
"""verbs that keep each core busy with a pass of the network"""

FAILED = 2
OWN_FAULT = 70
"""sysexits.h, EX_SOFTWARE: overread itself has failed, and its user can mend nothing"""
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one line, and never guesses what a shortened flag stands for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Leave with one line that names the help."""
        stop = "" if message.endswith("?") else "."
        self.exit(FAILED, f"overread: {message.removeprefix('argument ')}{stop} Help: {self.prog} --help\n")


def make_parser(verb: str | None = None) -> tuple[Parser, Parser | None]:
    """The whole parser, and that of `verb`; the flags of the other verbs are not imported."""
    parser = Parser(
        prog="overread",
        description="Train a disease classifier from your own medical images, and find out\nwhether to believe it.",
        epilog="First:  overread demo\nThen:   overread train YOUR_FOLDER\n"
        "Help:   overread train --help, and so on for each verb\nResearch use, not a medical device.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"overread {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    chosen = None
    for name, sentence in VERBS.items():
        below = verbs.add_parser(name, help=sentence, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == verb:
            chosen = _with_flags(below, name)
    return parser, chosen


def _with_flags(parser: Parser, verb: str) -> Parser:
    module = importlib.import_module(f"overread.cli.{verb}")
    module.add_arguments(parser)
    parser.usage = " ".join(["overread", verb, *_wanted(parser), "[options]"])
    sentence = VERBS[verb][0].upper() + VERBS[verb][1:] + "."
    parser.description = f"{sentence}\n\n{module.ABOUT}"
    parser.epilog = "Examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLE.splitlines())
    return parser


def _wanted(parser: Parser) -> Iterable[str]:
    """What a verb cannot do without: its flags are many, and are listed below the usage line."""
    for action in parser._actions:
        name = str(action.metavar or action.dest)
        if not action.option_strings:
            yield f"[{name}]" if action.nargs == "?" else f"{name}{' ...' if action.nargs == '+' else ''}"
        elif action.required:
            yield f"{action.option_strings[0]} {name}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Leaves with exit code 2 and one line where it cannot be understood."""
    word = next((word for word in arguments if not word.startswith("-")), None)
    parser, chosen = make_parser(word)
    if word is not None and word not in VERBS:
        parser.error(f"{word} is not a verb; the verbs are {', '.join(VERBS)}{_near(word, VERBS)}")
    if not arguments:
        parser.print_help(sys.stderr)
        sys.exit(FAILED)
    args, extra = parser.parse_known_args(arguments)
    if extra and chosen is not None:
        flags = [flag for action in chosen._actions for flag in action.option_strings]
        chosen.error(f"{extra[0]} is not understood{_near(extra[0].split('=')[0], flags)}")
    return args


def _near(word: str, known: Iterable[str]) -> str:
    """A question after the likeliest word that was meant; nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f". Did you mean {near[0]}?" if near else ""


def keep_cores_free() -> None:
    """Let numpy's small products run where they are asked for; to be called before its import.

    Its threads for them would turn in circles between two products, and take a third of the passes' time.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code.

    0, or the verb's own; 2 for a failure that its user can mend, 70 for one of overread's own, 130 for Ctrl-C.
    """
    _ready_streams()
    if any(verb in arguments for verb in PREDICTING):
        keep_cores_free()
    args = parse(arguments)
    try:
        code = run_verb(importlib.import_module(f"overread.cli.{args.verb}").run, args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as failure:
        if args.debug:
            raise
        code, words = _in_words(failure, arguments)
        print(f"overread: {words}", file=sys.stderr)
        return code


def _in_words(failure: BaseException, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code of a failure, and what its user is told."""
    if isinstance(failure, KeyboardInterrupt):
        return INTERRUPTED, str(failure) or "stopped."
    if isinstance(failure, OverreadError):
        return FAILED, str(failure)
    if isinstance(failure, ModuleNotFoundError) and failure.name and not failure.name.startswith("overread"):
        return FAILED, (
            f"this needs {failure.name}, which is not installed. "
            "Install what training needs: pip install 'overread[train]'."
        )
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":
        return FAILED, f"the memory is full ({_first_line(failure)}). Lower --batch-size or --size-px."
    if isinstance(failure, OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        return FAILED, f"{where}{failure.strerror or failure}. Check the path, its permissions and the disk."
    return OWN_FAULT, (
        f"this is a fault in overread, not in what you did ({type(failure).__name__}: {_first_line(failure)}). "
        f"For the report of it: overread --debug {' '.join(arguments)}"
    )


def _first_line(failure: BaseException) -> str:
    return (str(failure).splitlines() or ["no more is known"])[0][:200]


def _ready_streams() -> None:
    """Let nothing that is printed fail: closed streams swallow it, and what cannot be encoded is spelt out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 (it stays open)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
