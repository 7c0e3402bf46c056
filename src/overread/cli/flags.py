"""Command-line flags made from the fields of a settings dataclass, so that neither drifts from the other."""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from typing import Any

from overread.errors import SettingsError


def add_flags(parser: argparse.ArgumentParser, kind: type[Any], *, title: str, omit: tuple[str, ...] = ()) -> None:
    """Add a flag for each field of `kind`; a flag that is not given stays out of `given_flags`."""
    group = parser.add_argument_group(title)
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in omit:
            continue
        name = "--" + field.name.replace("_", "-")
        sentence = str(field.metadata["help"]).replace("%", "%%")
        accepted = _plain_type(hints[field.name])
        if accepted is bool:
            group.add_argument(
                name, action=argparse.BooleanOptionalAction, default=None, dest=field.name, help=sentence
            )
            continue
        default = "" if field.default in (None, "") else f" (default: {field.default})"
        read, metavar = _READERS.get(accepted, (accepted, "TEXT"))
        group.add_argument(
            name,
            type=read,
            default=None,
            dest=field.name,
            choices=field.metadata.get("choices"),
            metavar=None if "choices" in field.metadata else metavar,
            help=sentence + default,
        )


def given_flags(args: argparse.Namespace, kind: type[Any]) -> dict[str, Any]:
    """The values of the flags that were on the command line, by field."""
    names = (field.name for field in dataclasses.fields(kind))
    return {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}


def whole_number(text: str) -> int:
    """An int as a person writes it.

    >>> whole_number("12")
    12
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def add_ray(parser: argparse.ArgumentParser, sentence: str) -> None:
    """Declare --ray, with or without a number of workers; None where it is not given, 0 where Ray is to choose."""
    parser.add_argument(
        "--ray", nargs="?", type=whole_number, const=0, metavar="N", help=f"{sentence} (pip install 'overread[ray]')"
    )


def check_ray(args: argparse.Namespace) -> None:
    """Refuse a number of workers that makes no sense."""
    if args.ray is not None and args.ray < 0:
        raise SettingsError(f"--ray {args.ray} is out of range; it is 1 or more, or has no number.")


def number(text: str) -> float:
    """A float as a person writes it.

    >>> number("1e-3")
    0.001
    """
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


_READERS: dict[type[Any], tuple[Any, str]] = {int: (whole_number, "N"), float: (number, "X")}


def _plain_type(hint: Any) -> type[Any]:
    """`int` of `int | None`, and so on.

    >>> _plain_type(str | None)
    <class 'str'>
    """
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return typing.cast(type[Any], hint)
