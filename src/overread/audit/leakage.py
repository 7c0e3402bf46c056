"""Leakage: does the test part hold what was trained on? Patients, studies, series, and slices in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from overread.audit.check import Check, Finding, in_percent
from overread.audit.sequence import find_runs
from overread.audit.subject import Subject
from overread.data.rows import patient_hash

_FATAL_SHARE = 0.1
"""of the test images: with so many known from training, the test part measures memory"""
_FEW_PATIENTS = 10
"""with fewer in a class its sensitivity has an interval of 0.4 or more"""
_NEEDED = 3
"""patients of a class: one in training, one in validation, one in the test"""
_LONG_RUN = 3.0


class PatientInTwoParts(Check):
    """A patient who is trained on and tested on."""

    code = "L01"
    title = "A patient is in training and in test"
    severity = "serious"
    of_split = True
    reference = "Yagis et al. 2021, Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w"

    def look(self, subject: Subject) -> Finding | None:
        """Known patients that are in the test part and in another."""
        shared, images, share = _shared(subject, subject.cohort.patients())
        if not shared:
            return None
        tested = subject.parts().count("test")
        names = [patient_hash(str(who)) for who in shared]
        return self.finding(
            what=f"{_patients(len(shared))} in the test part {'is' if len(shared) == 1 else 'are'} in training too, "
            f"with {images} of the {tested} test images ({in_percent(share)}). The network can know them again.",
            do="Split by patient: --split patient.",
            n=len(shared),
            unit="patients",
            where=names,
            evidence={"test_images": tested, "test_images_known": images, "share": share},
            severity="fatal" if share >= _FATAL_SHARE else "serious",
        )


class SeriesInTwoParts(Check):
    """Slices of one series, or images of one study, that are trained on and tested on."""

    code = "L02"
    title = "Slices of one series are in training and in test"
    severity = "serious"
    of_split = True
    reference = "Yagis et al. 2021, Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w"

    def look(self, subject: Subject) -> Finding | None:
        """Series that are in the test part and in another; studies where no series is."""
        for what, keys in (
            ("series", [row.series for row in subject.cohort.rows]),
            ("study", [row.study for row in subject.cohort.rows]),
        ):
            shared, images, share = _shared(subject, keys)
            if shared:
                plural = what if len(shared) == 1 or what == "series" else "studies"
                return self.finding(
                    what=f"{len(shared)} {plural} {'is' if len(shared) == 1 else 'are'} divided: {images} test "
                    f"images ({in_percent(share)}) have neighbours in training that show nearly the same.",
                    do="Split by patient, so that a series stays whole: --split patient.",
                    n=len(shared),
                    unit=plural,
                    evidence={"test_images_known": images, "share": share},
                    severity="fatal" if share >= _FATAL_SHARE else "serious",
                )
        return None


class FewPatients(Check):
    """A class whose patients are too few to be divided, or to say much."""

    code = "L03"
    title = "A class has few patients"
    severity = "note"
    reference = "Collins et al. 2024, TRIPOD+AI, BMJ 385:e078378"

    def look(self, subject: Subject) -> Finding | None:
        """Classes with fewer patients than a split needs, or than an interval needs to be of use."""
        counts = _patients_by_class(subject)
        few = {name: n for name, n in counts.items() if n < _FEW_PATIENTS}
        if not few or max(counts.values()) == 1:  # one patient a class has a finding of its own
            return None
        named = ", ".join(f"{name} {n}" for name, n in few.items())
        cannot = min(few.values()) < _NEEDED
        return self.finding(
            what=f"Few patients in {named}. "
            + (
                f"Training, validation and test need one each, so {_NEEDED} at least."
                if cannot
                else "The test part has a handful of them, so its figures can only be rough."
            ),
            do="Add patients of the class, leave it out, or cross-validate (--split fold:K/N).",
            n=len(few),
            unit="classes",
            where=list(few),
            evidence={"patients": counts},
            severity="serious" if cannot else "note",
        )


class OnePatientAClass(Check):
    """Each class is one patient: whoever tells patients apart tells the classes apart."""

    code = "L04"
    title = "Each class is one patient"
    severity = "fatal"
    reference = "Yagis et al. 2021, Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w"

    def look(self, subject: Subject) -> Finding | None:
        """True where every class has exactly one known patient, or series."""
        by_patient = _patients_by_class(subject)
        if not by_patient or max(by_patient.values()) > 1:
            return None
        series = {row.series for row in subject.cohort.rows}
        return self.finding(
            what=f"{len(by_patient)} classes, {len({row.patient for row in subject.cohort.rows})} patients"
            + (f", {len(series)} series" if None not in series else "")
            + ": each class is one patient. A model that tells these people apart, by their skull or their scan, "
            "scores as well as one that sees disease, and no split of these images can tell which it is.",
            do="Add patients to every class. Until then no figure from these images says anything about a disease.",
            n=len(by_patient),
            unit="classes",
            evidence={"patients": by_patient},
        )


class SlicesInARow(Check):
    """Pictures without a patient whose file names follow one another, and whose content does too."""

    code = "L05"
    title = "Pictures follow one another like the slices of a series"
    severity = "serious"
    reference = "Yagis et al. 2021, Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w"

    def look(self, subject: Subject) -> Finding | None:
        """Classes that fall into a few smooth runs, where no patient and no series is known."""
        if any(row.patient or row.series for row in subject.cohort.rows):
            return None
        runs = find_runs(subject)
        smooth = {name: run for name, run in runs.items() if run.is_smooth and run.mean_length >= _LONG_RUN}
        if not smooth:
            return None
        listed = ", ".join(f"{name} {run.n_runs} of {run.n_images} images" for name, run in smooth.items())
        everywhere = len(smooth) == len(runs) and max(run.n_runs for run in runs.values()) <= _NEEDED
        return self.finding(
            what=f"In the order of their names the pictures follow one another smoothly, as slices of a series do: "
            f"about so many unbroken runs: {listed}. "
            + (
                "Each class seems to be one patient, or very few: telling people apart would look like telling "
                "diseases apart."
                if everywhere
                else "Slices of one patient are likely to be in training and in test."
            ),
            do="Find out whose pictures these are, and name the patient: --patient-regex, a CSV column, or DICOM.",
            n=sum(run.n_images for run in smooth.values()),
            unit="images",
            where=list(smooth),
            evidence={name: run.to_json() for name, run in runs.items()},
            severity="fatal" if everywhere else "serious",
        )


class PatientsUnknown(Check):
    """Nobody can say whether a patient is on both sides."""

    code = "L06"
    title = "Patients are unknown"
    severity = "serious"
    reference = "Mongan, Moy & Kahn 2020, CLAIM, Radiol Artif Intell 2:e200029; item 12 of the 2024 update"

    def look(self, subject: Subject) -> Finding | None:
        """Images whose patient is not known."""
        unknown = subject.cohort.patients().count(None)
        if not unknown:
            return None
        return self.finding(
            what=f"The patient of {unknown} of {len(subject)} images is not known, so nobody can say whether one is "
            "in training and in test. Figures may be too good.",
            do="Tell who is who: a patient column in a CSV, --patient-regex on the path, or DICOM files.",
            n=unknown,
            unit="images",
            evidence={"images": len(subject), "unknown": unknown},
        )


def _shared(subject: Subject, keys: Sequence[Hashable]) -> tuple[list[Hashable], int, float]:
    """Keys that are in the test part and in another; the test images that have them, and their share."""
    parts = subject.parts()
    tested = [key for key, part in zip(keys, parts, strict=True) if part == "test"]
    learnt = {key for key, part in zip(keys, parts, strict=True) if part in ("train", "val") and key is not None}
    images = sum(key in learnt for key in tested)
    return sorted(learnt & set(tested), key=str), images, images / max(1, len(tested))


def _patients_by_class(subject: Subject) -> dict[str, int]:
    """How many patients each class has; empty where not all are known."""
    if not subject.knows_patients:
        return {}
    pairs = {(row.label, row.patient) for row in subject.cohort.rows}
    counts = Counter(label for label, _ in pairs)
    return {name: counts[name] for name in subject.cohort.classes if counts[name]}


def _patients(n: int) -> str:
    return f"{n} patient{'s' if n != 1 else ''}"


CHECKS: tuple[type[Check], ...] = (
    PatientInTwoParts,
    SeriesInTwoParts,
    FewPatients,
    OnePatientAClass,
    SlicesInARow,
    PatientsUnknown,
)
