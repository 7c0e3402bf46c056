"""What controls show: what a split by image adds, what shuffled labels score, and whether more patients help."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from overread.stats.intervals import Measured
from overread.stats.unpaired import Difference, difference

Tone = Literal["good", "with care", "do not"]
CHANCE = 0.5
"""AUROC of a network that has learnt nothing"""
FLAT = 0.02
"""the largest gain in AUROC that is called none"""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train: how the images are divided, whether labels are shuffled, and on how many patients."""

    split: str
    """patient or image"""
    shuffled: bool = False
    share: float = 1.0
    """of the training patients"""

    @property
    def name(self) -> str:
        """What its folders are called by."""
        share = "" if self.share == 1 else f"-{self.share * 100:.0f}-percent"
        return f"{'shuffled-' * self.shuffled}{self.split}{share}"

    @property
    def words(self) -> str:
        """How a table names it."""
        if self.share < 1:
            return f"{self.share:.0%} of the training patients"
        return f"{'labels shuffled, ' * self.shuffled}split by {self.split}"


PATIENT, IMAGE = Arm(split="patient"), Arm(split="image")
SHUFFLED = Arm(split="patient", shuffled=True), Arm(split="image", shuffled=True)
LEARNING = (*(Arm(split="patient", share=share) for share in (0.25, 0.5, 0.75)), PATIENT)
HALF = next(arm for arm in LEARNING if arm.share == 0.5)
ARMS: Mapping[str, tuple[Arm, ...]] = {"gap": (PATIENT, IMAGE), "shuffled": SHUFFLED, "learning": LEARNING}
"""every control, and what it trains"""
TITLES = {
    "gap": "What does a split by image add?",
    "shuffled": "What do shuffled labels score?",
    "learning": "Would more patients help?",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one control comes to, in words."""

    control: str
    words: str
    tone: Tone
    differences: Mapping[str, Difference] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no nan: None stands for it."""
        plain = {
            name: {key: None if math.isnan(value) else value for key, value in vars(one).items()}
            for name, one in self.differences.items()
        }
        return {"control": self.control, "words": self.words, "tone": self.tone, "differences": plain}


def arms_of(controls: Sequence[str]) -> tuple[Arm, ...]:
    """What has to be trained for these controls, each once."""
    return tuple(dict.fromkeys(arm for name in controls for arm in ARMS[name]))


def tell(control: str, found: Mapping[Arm, Measured], *, gain: Difference | None = None) -> Told:
    """What a control shows. found: the AUROC of each of its arms, one against the rest for several classes.

    gain: all less half of the training patients, measured on the same images; without it, as if on others.
    """
    return _TELL[control](found, gain)


def _gap(found: Mapping[Arm, Measured], _: Difference | None) -> Told:
    by_patient, by_image = found[PATIENT], found[IMAGE]
    gap = difference(by_image, by_patient)
    words = f"Split by image the AUROC is {_shown(by_image)}, split by patient {_shown(by_patient)}: "
    tone: Tone = "good"
    if math.isnan(gap.low):
        words += "one of them has no interval, so that nothing can be said of a gap."
        tone = "with care"
    elif not (by_image.low > CHANCE or by_patient.low > CHANCE):
        words += "neither is above chance by more than luck, so that nothing can be said of a gap."
        tone = "with care"
    elif gap.is_above_zero:
        words += f"{_apart(gap)} of it is recognising patients, not disease."
        tone = "do not"
    else:
        words += f"no more of a gap than chance explains ({gap})."
    return Told(control="gap", words=words, tone=tone, differences={"image": gap})


def _shuffled(found: Mapping[Arm, Measured], _: Difference | None) -> Told:
    """Labels without meaning: split by patient they must score chance (Yagis et al. 2021)."""
    by_patient, by_image = (found[arm] for arm in SHUFFLED)
    words = f"With labels shuffled among the patients and split by patient the AUROC is {_shown(by_patient)}: "
    tone: Tone = "good"
    if by_patient.low <= CHANCE <= by_patient.high:
        words += "chance, as it must be. "
    elif math.isnan(by_patient.low):
        tone = "with care"
        words += "without an interval nobody can say whether that is chance. "
    elif by_patient.low > CHANCE:
        tone = "do not"
        words += (
            "above chance, where nothing can be learnt. Chance alone does that once in forty times, and --repeats "
            "tells; else labels of the test part have reached the training, and no figure can be believed. "
        )
    else:
        tone = "with care"
        words += "below chance, which happens once in forty times; --repeats tells. "
    words += f"Split by image it is {_shown(by_image)}: "
    if by_image.low > CHANCE:
        tone = tone if tone == "do not" else "with care"
        words += (
            "the labels mean nothing, so the network knows the patients again from their other images. A split by "
            "image measures that, and not the disease."
        )
    elif math.isnan(by_image.low):
        tone = "with care" if tone == "good" else tone
        words += "without an interval nobody can say whether the network knows patients again."
    else:
        words += "no sign that the network knows patients again from their other images."
    return Told(control="shuffled", words=words, tone=tone)


def _learning(found: Mapping[Arm, Measured], gain: Difference | None) -> Told:
    gain = difference(found[PATIENT], found[HALF]) if gain is None else gain
    ends = f"from {_shown(found[HALF])} to {_shown(found[PATIENT])}"
    words = f"From half of the training patients to all the AUROC goes {ends}: "
    tone: Tone = "with care"
    if math.isnan(gain.low):
        words += "without an interval nobody can say whether more patients help."
    elif not found[PATIENT].low > CHANCE:
        words += "the network has learnt nothing that could be told from chance, so that its curve says nothing."
    else:
        tone = "good"
        if gain.is_above_zero:
            words += f"more patients help ({gain}), and the curve has not ended."
        elif gain.high < FLAT:
            words += f"twice the patients added less than {FLAT:g}; more like these will hardly help."
        else:
            words += f"whether more patients help cannot be told with a test part of this size ({gain})."
    return Told(control="learning", words=words, tone=tone, differences={"half to all": gain})


def _shown(figure: Measured) -> str:
    if math.isnan(figure.low):
        return f"{figure.value:.2f} (no interval)"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def _apart(gap: Difference) -> str:
    return f"{gap.value:.2f} ({gap.low:.2f} to {gap.high:.2f})"


_TELL: Mapping[str, Callable[[Mapping[Arm, Measured], Difference | None], Told]] = {
    "gap": _gap,
    "shuffled": _shuffled,
    "learning": _learning,
}
