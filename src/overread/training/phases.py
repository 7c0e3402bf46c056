"""What learns, and when: the last layer alone, then the last stage, then everything, where that promises a gain."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.settings import TrainSettings
from overread.training.machine import Machine

TRIAL_EPOCHS = 10
TRIAL_PATIENCE = 2
TRIAL_VIEWS = 2
WHOLE_PATIENCE = 5
GLANCE_IMAGES = 256
"""what everything learns from before it is decided whether that is worth an hour"""
TRIAL_RATE = 1 / 3
"""of the full learning rate: the first steps must not undo what a solved head has found (Kumar et al. 2022)"""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training in which the same stages learn."""

    first: int
    """the number of the first stage that learns, from the input"""
    settings: TrainSettings
    solved: bool = False
    """the last layer alone, solved to its optimum; one epoch"""
    trial: bool = False
    """kept short; what it gains decides what follows"""
    still: bool = False
    """with the statistics of normalisation as they were: a head that was solved rests on them"""


def choose_learning(settings: TrainSettings, machine: Machine) -> str:
    """`auto` in words: the head first where nothing but a CPU is there, everything where there is a GPU."""
    if settings.learn != "auto":
        return settings.learn
    return "all" if machine.device.type != "cpu" or settings.weights == "none" else "grow"


def plan(settings: TrainSettings, machine: Machine, n_stages: int) -> tuple[Phase, ...]:
    """The phases of a training, in their order."""
    learn, head = choose_learning(settings, machine), n_stages - 1
    everything = Phase(first=settings.freeze, settings=settings)
    if learn == "all":
        return (everything,)
    once = dataclasses.replace(settings, epochs=1, patience=0)
    alone = Phase(first=max(head, settings.freeze), settings=once, solved=True)
    if learn == "head" or settings.freeze >= head:
        return (alone,)
    trial = Phase(
        first=head - 1,
        settings=dataclasses.replace(
            settings,
            epochs=min(TRIAL_EPOCHS, settings.epochs),
            patience=TRIAL_PATIENCE,
            learning_rate=settings.learning_rate * TRIAL_RATE,
            head_rate=1.0,
            schedule="constant",
            label_smoothing=0.0,
            views=min(TRIAL_VIEWS, settings.views),
        ),
        trial=True,
        still=True,
    )
    if settings.freeze == head - 1:
        return (alone, trial)
    whole = dataclasses.replace(settings, patience=settings.patience or WHOLE_PATIENCE, head_rate=1.0)
    return (alone, trial, Phase(first=settings.freeze, settings=whole, still=True))


def glance(phase: Phase) -> Phase:
    """A few steps of a phase, as carefully as a trial takes them: enough to see whether it leads anywhere."""
    settings = dataclasses.replace(
        phase.settings,
        epochs=1,
        learning_rate=phase.settings.learning_rate * TRIAL_RATE,
        schedule="cosine",  # it has to settle: what is measured behind steps of full length is mostly their noise
        warmup=0.0,
        label_smoothing=0.0,
        views=min(TRIAL_VIEWS, phase.settings.views),
    )
    return dataclasses.replace(phase, settings=settings, trial=True)


LEAST_GAIN = 0.02
"""nats an image in validation: less is not worth a phase, whatever its error"""


def gains(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether losses in validation, (n,) image by image, fell by more than the standard error of their difference.

    One error and not two: a phase too many costs time, and one too few costs accuracy.
    """
    fallen = before - after
    error = fallen.std(ddof=1) / np.sqrt(len(fallen)) if len(fallen) > 1 else 0.0
    return bool(fallen.mean() > max(error, LEAST_GAIN))
