"""What a person can choose. Checked when made; the command line's flags are made from these fields."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from overread.errors import SettingsError

CT_WINDOWS: dict[str, tuple[float, float]] = {
    "brain": (40.0, 80.0),
    "subdural": (75.0, 215.0),
    "stroke": (40.0, 40.0),
    "bone": (600.0, 2800.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 350.0),
    "abdomen": (50.0, 400.0),
}
"""Named CT windows: (centre, width) in Hounsfield units."""


def _setting(default: Any, sentence: str, **more: Any) -> Any:
    """A dataclass field with the sentence that documents it here and on the command line."""
    return field(default=default, metadata={"help": sentence, **more})


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"--{name} {value} is not known; it is one of {', '.join(choices)}.")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(f"--{name} {value:g} is out of range; it lies between {low:g} and {high:g}.")


def parse_window(text: str) -> tuple[float, float]:
    """Centre and width in Hounsfield units of one named window or of `centre/width`.

    >>> parse_window("brain")
    (40.0, 80.0)
    >>> parse_window("-600/1500")
    (-600.0, 1500.0)
    """
    if text in CT_WINDOWS:
        return CT_WINDOWS[text]
    number = r"[+-]?\d+(?:\.\d+)?"
    found = re.fullmatch(rf"({number})/({number})", text)
    if found is None or float(found[2]) <= 0:
        raise SettingsError(
            f"--window {text} is not known; use auto, header, {', '.join(CT_WINDOWS)}, "
            "center/width such as 40/80 with a width above 0, or three of them joined by commas."
        )
    return float(found[1]), float(found[2])


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How a stored image becomes a network's input. Kept in the model folder: a prediction repeats it."""

    size_px: int = _setting(224, "side of the square that the network sees, in pixels")
    window: str = _setting(
        "auto",
        "CT window: a name (brain, subdural, stroke, bone, lung, mediastinum, abdomen), center/width, "
        "three joined by commas for the three channels, header for the file's own, or auto",
    )
    fit: str = _setting(
        "squash", "how an oblong image becomes a square: squash (stretch) or pad (keep the shape, add black)",
        choices=("squash", "pad"),
    )

    def __post_init__(self) -> None:
        _between("size-px", self.size_px, 16, 2048)
        _one_of("fit", self.fit, ("squash", "pad"))
        self.windows_hu()

    def windows_hu(self) -> tuple[tuple[float, float], ...]:
        """The one or three (centre, width) pairs in Hounsfield units; empty for `auto` and `header`."""
        if self.window in ("auto", "header"):
            return ()
        names = self.window.split(",")
        if len(names) not in (1, 3):
            raise SettingsError(f"--window takes one window or three, found {len(names)} in {self.window}.")
        return tuple(parse_window(name.strip()) for name in names)


def from_dict(kind: type[Any], values: dict[str, Any]) -> Any:
    """Make a settings object of `kind` from plain JSON values, and refuse fields that it does not have."""
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(f"Unknown settings for {kind.__name__}: {', '.join(unknown)}.")
    return kind(**values)
