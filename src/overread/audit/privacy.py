"""Privacy: what in the files could name a person or a place. Keywords and counts are told, never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import ClassVar

import numpy as np

from overread.audit.appearance import has_letters, says_burnt_in
from overread.audit.check import Check, Finding
from overread.audit.subject import Subject
from overread.data.dicom_identity import COMMENTS, DATES, NUMBERS, PATIENT, PLACES, PRIVATE, STAFF
from overread.data.hidden import hide_patients
from overread.data.rows import patient_hash

_BIRTH = "PatientBirthDate"
_NAMES = {*PATIENT, *STAFF} - {_BIRTH}


class Named(Check):
    """Headers that name the patient, who cared for them, where, or under which number."""

    code = "P01"
    title = "Headers name people or places"
    severity = "serious"
    reference = "DICOM PS3.15 Table E.1-1 (Basic Application Level Confidentiality Profile)"
    keywords: ClassVar[Collection[str]] = (*_NAMES, *PLACES, *NUMBERS, *COMMENTS)

    def look(self, subject: Subject) -> Finding | None:
        """Attributes that are there and say something; serious where one of them names a person."""
        found = _files_with(subject, self.keywords)
        if not found:
            return None
        counts = _counts(found)
        persons = sorted(_NAMES & counts.keys())
        return self.finding(
            what=f"{len(found)} of {len(subject.cohort.headers())} files say who or where: {_in_words(counts)}. "
            + (f"{_join(persons)} can name a person." if persons else "None of these names a person by itself."),
            do="De-identify the files by the basic profile of DICOM before they leave the hospital.",
            n=len(found),
            unit="files",
            where=_first_with(_NAMES, found),
            evidence={"files_by_keyword": dict(counts)},
            severity="serious" if persons else "note",
        )


class Dated(Check):
    """Headers with full dates: with a birth date or a day in hospital a person can be found again."""

    code = "P02"
    title = "Headers hold full dates"
    severity = "note"
    reference = "DICOM PS3.15 Table E.1-1; 45 CFR 164.514(b)(2)(i)(C)"
    keywords: ClassVar[Collection[str]] = (_BIRTH, *DATES)

    def look(self, subject: Subject) -> Finding | None:
        """Dates that are there and not said to be shifted; a birth date is serious."""
        found = _files_with(subject, self.keywords)
        if not found:
            return None
        counts = _counts(found)
        return self.finding(
            what=f"{len(found)} of {len(subject.cohort.headers())} files hold dates that are not said to be shifted: "
            f"{_in_words(counts)}.",
            do="Shift or remove dates before the files leave the hospital; overread keeps no more than the month.",
            n=len(found),
            unit="files",
            where=_first_with({_BIRTH}, found),
            evidence={"files_by_keyword": dict(counts)},
            severity="serious" if _BIRTH in counts else "note",
        )


class TextInPixels(Check):
    """Text in the pixels, which no change of the header removes."""

    code = "P03"
    title = "Pixels may name the patient"
    severity = "serious"
    reference = "DICOM PS3.15 E.3.1 (Clean Pixel Data Option)"

    def look(self, subject: Subject) -> Finding | None:
        """Serious where a header says that text is burnt in; letters that are merely seen are a note."""
        told, seen = says_burnt_in(subject), has_letters(subject)
        found = np.flatnonzero(told | seen).tolist()
        if not found:
            return None
        return self.finding(
            what=f"{len(found)} of {len(subject)} images have text in the pixels ({int(told.sum())} say so in their "
            f"header, in {int(seen.sum())} letters are seen near the edge). What it says was not read.",
            do="Look at them, and cover names and dates before they leave the hospital.",
            n=len(found),
            unit="images",
            where=[subject.name(at) for at in found],
            evidence={"told": int(told.sum()), "seen": int(seen.sum())},
            severity="serious" if told.any() else "note",
        )


class Private(Check):
    """Private attributes: nobody but the manufacturer knows what they hold."""

    code = "P04"
    title = "Files hold private attributes"
    severity = "note"
    reference = "DICOM PS3.15 E.3.10 (Retain Safe Private Option)"

    def look(self, subject: Subject) -> Finding | None:
        """Files with any attribute of an odd group."""
        found = _files_with(subject, (PRIVATE,))
        if not found:
            return None
        return self.finding(
            what=f"{len(found)} of {len(subject.cohort.headers())} files hold private attributes. Some manufacturers "
            "repeat the patient's name there.",
            do="Remove them before the files leave the hospital, unless they are known to be safe.",
            n=len(found),
            unit="files",
            where=list(found),
        )


class InPaths(Check):
    """Folders and files that are named by the patient's identifier, which every list of predictions repeats."""

    code = "P05"
    title = "Paths name patients"
    severity = "note"
    reference = "DICOM PS3.15 Table E.1-1 (Patient ID); 45 CFR 164.514(b)(2)(i)(H)"

    def look(self, subject: Subject) -> Finding | None:
        """Rows whose path holds the identifier that stands in their header."""
        if subject.cohort.patients_from != "dicom":
            return None
        shown = {
            row.path: hide_patients(row.path, {patient_hash(row.patient)})
            for row in subject.cohort.rows
            if row.patient
        }
        found = [hidden for path, hidden in shown.items() if hidden != path]
        if not found:
            return None
        return self.finding(
            what=f"{len(found)} of {len(shown)} files stand in a folder, or have a name, that is their patient's "
            "identifier. The report shows a hash in its place; split.csv and predictions.csv keep the path.",
            do="Rename folders and files before split.csv or predictions.csv is given to anybody.",
            n=len(found),
            unit="files",
            where=found,
        )


def _files_with(subject: Subject, keywords: Collection[str]) -> dict[str, list[str]]:
    """The files of the cohort's rows with any of these keywords, and the keywords that each has."""
    wanted, files = set(keywords), subject.cohort.files
    paths = dict.fromkeys(row.path for row in subject.cohort.rows)
    found = {path: [word for word in files[path].identifying if word in wanted] for path in paths if path in files}
    return {path: words for path, words in found.items() if words}


def _first_with(grave: Collection[str], found: Mapping[str, list[str]]) -> list[str]:
    """The files, those with a keyword that is grave before the others: of many only the first are named."""
    return sorted(found, key=lambda path: not any(word in grave for word in found[path]))


def _counts(found: Mapping[str, list[str]]) -> Counter[str]:
    """How many files have each keyword."""
    return Counter(word for words in found.values() for word in words)


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{keyword} {n}" for keyword, n in counts.most_common())


def _join(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


CHECKS: tuple[type[Check], ...] = (Named, Dated, TextInPixels, Private, InPaths)
