"""Phantom patients: synthetic CT series whose every lesion, scanner and fault is known.

They are what overread shows itself on where there are no data of its user's, and what its tests measure with.
"""

from overread.data.phantom.make import make_phantoms
from overread.data.phantom.settings import CLASSES, FLAWS, PhantomSettings
from overread.data.phantom.truth import Flaw, LesionTruth, PatientTruth, PhantomTruth, SliceTruth, read_truth

__all__ = [
    "CLASSES",
    "FLAWS",
    "Flaw",
    "LesionTruth",
    "PatientTruth",
    "PhantomSettings",
    "PhantomTruth",
    "SliceTruth",
    "make_phantoms",
    "read_truth",
]
