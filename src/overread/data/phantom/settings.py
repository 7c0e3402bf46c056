"""What phantom patients can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from overread.errors import SettingsError
from overread.settings import between, one_of, setting

CLASSES: dict[str, tuple[str, ...]] = {
    "head": ("aneurysm", "cancer", "tumor"),
    "chest": ("normal", "nodule", "pneumonia"),
}
FLAWS: tuple[str, ...] = ("leaked-patient", "duplicates", "kernel", "marker", "wrong-labels")


@dataclass(frozen=True, kw_only=True)
class PhantomSettings:
    """Which synthetic patients to make. The same settings make the same files, byte for byte."""

    body: str = setting(
        "head", "head (aneurysm, cancer, tumor) or chest (normal, nodule, pneumonia)", choices=tuple(CLASSES)
    )
    patients: int = setting(120, "how many patients, shared evenly among the classes")
    slices: int = setting(4, "how many slices of each patient's series, all through the lesion")
    seed: int = setting(0, "fixes every patient")
    flaws: str = setting("", f"faults to plant, joined by commas: {', '.join(FLAWS)}")
    flaw_strength: float = setting(1.0, "how much of each fault is planted, from 0.1 to 1")
    size_px: int = setting(256, "rows and columns of a slice")

    def __post_init__(self) -> None:
        one_of("body", self.body, tuple(CLASSES))
        between("patients", self.patients, 3, 9999)
        between("slices", self.slices, 1, 16)
        between("seed", self.seed, 0, 2**31 - 1)
        between("flaw-strength", self.flaw_strength, 0.1, 1)
        between("size-px", self.size_px, 64, 1024)
        for flaw in self.planted:
            one_of("flaws", flaw, FLAWS)
        if self.planted and self.patients < 6:
            raise SettingsError(
                f"--flaws {self.flaws} takes two patients a class, found --patients {self.patients}; "
                "ask for 6 or more."
            )

    @property
    def planted(self) -> tuple[str, ...]:
        """The faults asked for, each once, in the order of `FLAWS`.

        >>> PhantomSettings(flaws="marker, kernel").planted
        ('kernel', 'marker')
        """
        asked = {flaw.strip() for flaw in self.flaws.split(",") if flaw.strip()}
        return tuple(sorted(asked, key=lambda flaw: (*FLAWS, flaw).index(flaw)))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of this part of the body."""
        return CLASSES[self.body]
