"""What a run answers to one item of a checklist, and the words that all answers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from overread.report.known import PARTS, Division, Known, Part


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known, in sentences made of the run's own values, and what a person must add."""

    known: tuple[str, ...] = ()
    add: tuple[str, ...] = ()


Answering = Callable[[Known], Answer]


def known(*sentences: str, add: str = "") -> Answer:
    """An answer; empty sentences are left out."""
    return Answer(known=tuple(filter(None, sentences)), add=(add,) if add else ())


def joined(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence lists them.

    >>> joined(["training", "tuning", "test"])
    'training, tuning and test'
    """
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def capital(sentence: str) -> str:
    """A sentence that begins as one.

    >>> capital("tuning (validation)")
    'Tuning (validation)'
    """
    return sentence[:1].upper() + sentence[1:]


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def size_of(n_images: int, n_patients: int | None) -> str:
    """So many images of so many patients, as far as these are known."""
    images = counted(n_images, "image")
    return images if n_patients is None else f"{images} of {counted(n_patients, 'patient')}"


def sized(part: Part) -> str:
    """The size of a part: `training 336 images of 84 patients`."""
    return f"{PARTS[part.name]} {size_of(part.n_images, part.n_patients)}"


def sizes(division: Division) -> str:
    """The size of every part, as a sentence."""
    return f"{capital('; '.join(map(sized, division.parts)))}."


def by_class(part: Part) -> str:
    """What a part holds of each class, as a sentence."""
    whole = part.n_patients is not None
    counts = [
        f"{label} {size_of(part.images[label], part.patients[label] if whole else None)}" for label in part.images
    ]
    return f"{capital(PARTS[part.name])}: {'; '.join(counts)}."


def tallied(counts: Mapping[str, int]) -> str:
    """Numbers by name: `empty 1, truncated 2`."""
    return ", ".join(f"{name} {n}" for name, n in counts.items())
