"""Codes for what the model says: SNOMED CT where there is one, else a scheme of our own that is declared as such."""

from __future__ import annotations

import hashlib
import re

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code

MANUFACTURER = "overread"
"""of results, by which they are known where they come back"""
SCHEME = "99OVERREAD"
"""designators that begin with 99 are private (PS3.16 8.2)"""
DEVICE = Code("121007", "DCM", "Device")
NO_UNITS = Code("1", "UCUM", "no units")
LIKELIEST = Code("likeliest-class", SCHEME, "Likeliest class")
NO_ANSWER_LIKELIEST = Code("likeliest-silent", SCHEME, "Likeliest class, which is no answer")
"""a name of its own: who looks for the likeliest class must not take it for an answer where there is none"""
ANSWER = Code("answer", SCHEME, "Answer of the model")
IN_SET = Code("in-set", SCHEME, "Class in the set of possible classes")
NOT_RELIED_ON = Code("not-relied-on", SCHEME, "Not to be relied on")
"""qualifies a probability (PS3.3 C.18.1, Numeric Value Qualifier Code Sequence)"""

_SNOMED = {
    "aneurysm": Code("85659009", "SCT", "Aneurysm"),
    "neoplasm": Code("108369006", "SCT", "Neoplasm"),
    "tumor": Code("108369006", "SCT", "Neoplasm"),
    "tumour": Code("108369006", "SCT", "Neoplasm"),
    "cancer": Code("363346000", "SCT", "Malignant neoplastic disease"),
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "covid": Code("840539006", "SCT", "Disease caused by SARS-CoV-2"),
    "covid-19": Code("840539006", "SCT", "Disease caused by SARS-CoV-2"),
    "normal": Code("17621005", "SCT", "Normal"),
}
_PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
_IMAGING = Code("363679005", "SCT", "Imaging procedure")
_CODE_LENGTH, _MEANING_LENGTH = 16, 64
_READABLE = re.compile(r"[a-z0-9]+( [a-z0-9]+)*")
"""names that their code alone gives back: "grade i" and no other is `grade-i`"""


def class_code(label: str) -> Code:
    """The code of a class, by its name."""
    return _SNOMED.get(label.lower()) or _own("c", label, label)


def probability_code(label: str) -> Code:
    """The name of a class's probability."""
    return _own("p", label, f"Probability of {label}")


def silence_code(why: str) -> Code:
    """An abstention, with its reason."""
    return _own("n", why, f"No answer: {why}")


def procedure_code(modality: str) -> Code:
    """What kind of examination was looked at."""
    return _PROCEDURES.get(modality, _IMAGING)


def declare(report: Dataset) -> None:
    """Say in a report whose scheme the private one is (PS3.3 C.12.1.1.1, Coding Scheme Identification Sequence)."""
    ours = Dataset()
    ours.CodingSchemeDesignator = SCHEME
    ours.CodingSchemeName = "Classes and answers of models that overread trained"
    ours.CodingSchemeResponsibleOrganization = "overread"
    others = [item for item in report.get("CodingSchemeIdentificationSequence", []) if _designator(item) != SCHEME]
    report.CodingSchemeIdentificationSequence = Sequence([*others, ours])


def _own(kind: str, text: str, meaning: str) -> Code:
    """A private code (PS3.3 8.1): readable where it fits and no other text has it, else with a hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    value = f"{kind}-{plain}"
    if len(value) > _CODE_LENGTH or not _READABLE.fullmatch(text):
        value = f"{value[:9]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return Code(value, SCHEME, meaning[:_MEANING_LENGTH])


def _designator(item: Dataset) -> str:
    return str(item.get("CodingSchemeDesignator", ""))
