"""What a person can choose. Checked when made; the command line's flags are made from these fields."""

from __future__ import annotations

import re
import typing
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


def setting(default: Any, sentence: str, **more: Any) -> Any:
    """A dataclass field with the sentence that documents it here and on the command line."""
    return field(default=default, metadata={"help": sentence, **more})


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not among the choices, in the words of the command line."""
    if value not in choices:
        raise SettingsError(f"--{name} {value} is not known; it is one of {', '.join(choices)}.")


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number out of its range, in the words of the command line."""
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

    size_px: int = setting(224, "side of the square that the network sees, in pixels")
    window: str = setting(
        "auto",
        "CT window: a name (brain, subdural, stroke, bone, lung, mediastinum, abdomen), center/width, "
        "three joined by commas for the three channels, header for the file's own, or auto",
    )
    fit: str = setting(
        "squash",
        "how an oblong image becomes a square: squash (stretch) or pad (keep the shape, add black)",
        choices=("squash", "pad"),
    )

    def __post_init__(self) -> None:
        between("size-px", self.size_px, 16, 2048)
        one_of("fit", self.fit, ("squash", "pad"))
        self.windows_hu()

    def windows_hu(self) -> tuple[tuple[float, float], ...]:
        """The one or three (centre, width) pairs in Hounsfield units; empty for `auto` and `header`."""
        if self.window in ("auto", "header"):
            return ()
        names = self.window.split(",")
        if len(names) not in (1, 3):
            raise SettingsError(f"--window takes one window or three, found {len(names)} in {self.window}.")
        return tuple(parse_window(name.strip()) for name in names)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a network is trained. The defaults are the default recipe; `RECIPES` holds the others."""

    backbone: str = setting("auto", "network: any name of timm's, alexnet, or auto (see overread show)")
    weights: str = setting(
        "auto",
        "pretrained weights: a file, a folder of files named after their networks, auto (look in the cache, "
        "the hub, installed packages) or none",
    )
    split: str = setting(
        "auto",
        "what must not be divided between train and test: patient, image (overrides), given "
        "(the list's own), fold:K/N, site:NAME, or auto",
    )
    val_fraction: float = setting(0.15, "share of the images that picks the best epoch")
    test_fraction: float = setting(0.15, "share of the images that is scored once, at the end")
    calibrate_fraction: float = setting(
        0.0,
        "share of the images, taken from training, that temperature and sets are fitted on (0: the validation part)",
    )
    seed: int = setting(0, "fixes the split, the new layer, the order and the augmentation")
    epochs: int = setting(20, "passes over the training part")
    batch_size: int = setting(32, "images in one step")
    optimizer: str = setting("adamw", "adam or adamw", choices=("adam", "adamw"))
    learning_rate: float = setting(3e-4, "step size of the pretrained layers")
    head_rate: float = setting(3.0, "how many times faster the new last layer learns")
    stage_decay: float = setting(
        1.0, "learning rate of each stage as a share of the next one's; below 1 the early stages learn slower"
    )
    weight_decay: float = setting(0.05, "pull of the weights towards zero")
    schedule: str = setting(
        "cosine", "learning rate over time: cosine (to zero) or constant", choices=("cosine", "constant")
    )
    warmup: float = setting(0.1, "share of all steps over which the learning rate climbs to its full size")
    label_smoothing: float = setting(0.1, "share of each label that is spread over the classes")
    class_weights: bool = setting(False, "weigh rare classes up, each in proportion to its rarity")
    augment: str = setting(
        "medical",
        "medical (small rotation, scale, shift; contrast, brightness, gamma) or none",
        choices=("medical", "none"),
    )
    flip: bool = setting(False, "also mirror left and right; leave off where the side matters")
    learn: str = setting(
        "auto",
        "what learns: head (the new last layer alone, solved to its optimum on what the network gives), grow (the "
        "head; then the last stage; then all, where that promises a gain in validation), all (from the first epoch "
        "on), or auto (grow on a CPU, all on a GPU or without pretrained weights)",
        choices=("auto", "head", "grow", "all"),
    )
    freeze: int = setting(0, "how many stages from the input keep their pretrained weights")
    views: int = setting(
        4,
        "how often frozen stages are run on each image: once as it is, and on copies that --augment changes",
    )
    select: str = setting(
        "val_loss",
        "what the best epoch is best at, in validation",
        choices=("val_accuracy", "val_loss", "val_auroc"),
    )
    positive: str | None = setting(
        None, "of two classes, the one that counts as disease (default: one that is not named as healthy)"
    )
    patience: int = setting(0, "stop after so many epochs without a better one; 0 never stops early")
    device: str = setting("auto", "cpu, cuda, or auto")
    precision: str = setting(
        "auto",
        "of learning: float32, bfloat16, or auto (bfloat16 where the GPU or the processor has it)",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        for name in ("optimizer", "schedule", "augment", "learn", "select", "precision"):
            field_ = self.__dataclass_fields__[name]
            one_of(name.replace("_", "-"), getattr(self, name), field_.metadata["choices"])
        between("val-fraction", self.val_fraction, 0.01, 0.8)
        between("test-fraction", self.test_fraction, 0.01, 0.8)
        between("calibrate-fraction", self.calibrate_fraction, 0, 0.5)
        held_out = self.val_fraction + self.test_fraction
        between("val-fraction plus --test-fraction", held_out, 0.02, 0.9)
        between(
            "val-fraction plus --test-fraction plus --calibrate-fraction",
            held_out + self.calibrate_fraction,
            0.02,
            0.9,
        )
        between("seed", self.seed, 0, 2**31 - 1)
        between("epochs", self.epochs, 1, 10_000)
        between("batch-size", self.batch_size, 2, 4096)
        between("learning-rate", self.learning_rate, 1e-8, 10)
        between("head-rate", self.head_rate, 0.01, 1000)
        between("stage-decay", self.stage_decay, 0.01, 1)
        between("weight-decay", self.weight_decay, 0, 1)
        between("warmup", self.warmup, 0, 0.9)
        between("label-smoothing", self.label_smoothing, 0, 0.5)
        between("freeze", self.freeze, 0, 100)
        between("views", self.views, 1, 100)
        between("patience", self.patience, 0, 10_000)
        if self.weights == "none" and self.learn in ("head", "grow"):
            raise SettingsError(
                f"--learn {self.learn} rests on pretrained layers, but --weights none has none; drop one."
            )
        if self.weights == "none" and self.freeze:
            raise SettingsError(
                f"--freeze {self.freeze} keeps pretrained layers, but --weights none has none; drop one."
            )
        if self.device not in ("auto", "cpu") and not re.fullmatch(r"cuda(:\d+)?", self.device):
            raise SettingsError(f"--device {self.device} is not known; it is auto, cpu, cuda or cuda:N.")


RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "epochs": 10,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "head_rate": 1.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "augment": "none",
        "learn": "all",
        "select": "val_accuracy",
        "val_fraction": 0.1,
        "test_fraction": 0.1,
    },
}
"""What each recipe sets; every other field keeps its default, and a flag overrides either.

`paper` is Zhang 2024 (doi 10.54254/2755-2721/88/20241699): Adam, cross-entropy, 10 epochs, 80 / 10 / 10. The
paper names no learning rate and no batch size: Adam's own 0.001, and 32.
"""


def recipe_settings(recipe: str, **given: Any) -> TrainSettings:
    """The settings of a recipe, overridden by what was given.

    >>> recipe_settings("paper", epochs=3).optimizer, recipe_settings("paper", epochs=3).epochs
    ('adam', 3)
    """
    one_of("recipe", recipe, tuple(RECIPES))
    settings: TrainSettings = from_dict(TrainSettings, {**RECIPES[recipe], **given})
    return settings


def from_dict(kind: type[Any], values: dict[str, Any]) -> Any:
    """Make a settings object of `kind` from plain JSON values.

    Raises SettingsError for a field that it does not have, or a value of another type than the field's.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise SettingsError(f"Unknown settings for {kind.__name__}: {', '.join(unknown)}.")
    for name, value in values.items():
        accepted = typing.get_args(hints[name]) or (hints[name],)
        if type(value) not in accepted and not (type(value) is int and float in accepted):
            raise SettingsError(f"--{name.replace('_', '-')} cannot be {value!r}.")
    return kind(**values)
