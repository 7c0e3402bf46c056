"""De-identify many files: each is read, looked at for text in its pixels, cleaned, and written under a new name."""

from __future__ import annotations

import filecmp
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from overread.data.deidentify import DeidentifySettings, Pseudonyms, deidentify
from overread.data.dicom import load
from overread.data.guard import guarded, quiet
from overread.data.image import read_frames, read_header
from overread.data.lettering import find_letters
from overread.data.unused_bits import hides_overlay
from overread.disk import replacing, write_once
from overread.errors import ImageError, SettingsError

_KEY_BYTES = 32
_CHECK = ".made-with"
"""in the output folder: what tells the key of its copies from others, and nothing more of it"""
_RISKY_MODALITIES = ("US", "IVUS", "XC", "ES", "SC", "OT", "DOC", "RG", "HC")
"""whose images have names in the pixels more often than not"""
_RISKY_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("7", "3", "3.1", "6", "6.1", "6.2", "77.1.1", "77.1.1.1", "77.1.4")
)
"""secondary capture, ultrasound, endoscopy and photography, of whatever modality they are said to be"""
_RISKY_TYPES = ("SCREEN", "LABEL")
"""in Image Type: a screen that was saved, a slide's label"""
_PLACED_BY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_SAMPLED = 64
"""rows and columns, evenly spread, that tell the span of a frame's values"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file. Nothing of it leads back to the source without the key."""

    source: str
    """the source's path, hashed with the key"""
    state: str
    """written, written again (it was made otherwise), there already, set aside, or refused"""
    file: str = ""
    """where it lies, below the output folder"""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Deidentifier:
    """Cleans files into a folder."""

    out: Path
    names: Pseudonyms
    settings: DeidentifySettings
    anyway: bool = False
    """write files with text in their pixels too"""

    def run(self, files: Iterable[Path]) -> Iterator[Outcome]:
        """One file after the other; a bad one hides no other. RunError where the output cannot be written."""
        made: set[Path] = set()
        for path in files:
            try:
                yield self._one(path, made)
            except ImageError as fault:
                yield Outcome(source=self._source(path), state="refused", why=_nameless(fault, path))

    def _one(self, path: Path, made: set[Path]) -> Outcome:
        source = self._source(path)
        if read_header(path).format != "dicom":
            raise ImageError(f"{path.name} is no DICOM file. Leave it out.", kind="not-dicom")
        text = "" if self.anyway else text_in_pixels(path)
        if text:
            return Outcome(source=source, state="set aside", why=text)
        with guarded(path):
            dataset = load(path, pixels=True)
            if hides_overlay(dataset) and not self.anyway:
                return Outcome(source=source, state="set aside", why="an overlay lies in its compressed pixels")
            deidentify(dataset, self.names, self.settings)
        place = self._place(dataset)
        state = self._write(dataset, self.out / place, is_made=place in made)
        made.add(place)
        return Outcome(source=source, state=state, file=str(place))

    def _write(self, dataset: Dataset, to: Path, *, is_made: bool) -> str:
        """Write a copy and say if it is new: an earlier one may be of other options, or of rules since mended.

        is_made: by this run, of another file. Raises ImageError where the two are not the same.
        """
        with replacing(to) as temporary:
            _save(dataset, temporary)
            if not to.exists():
                return "written"
            if filecmp.cmp(temporary, to, shallow=False):
                return "there already"
            if is_made:
                raise ImageError(
                    "The file has the SOP Instance UID of another one, with other content; that one was written. "
                    "Give one of them a UID of its own.",
                    kind="other-content",
                )
            return "written again"

    def _place(self, dataset: Dataset) -> Path:
        """patient/study/series/image, of what stands for them. Raises ImageError where one has no UID."""
        uids = [str(dataset.get(name) or "") for name in _PLACED_BY]
        if "" in uids:
            raise ImageError(
                f"The file has no {_PLACED_BY[uids.index('')]}, by which its copy is placed. Export it again.",
                kind="bad-uid",
            )
        study, series, image = (hashlib.sha256(uid.encode()).hexdigest()[:12] for uid in uids)
        return Path(str(dataset.PatientID), study, series, f"{image}.dcm")

    def _source(self, path: Path) -> str:
        return self.names.name(str(path.absolute()))


def text_in_pixels(path: Path) -> str:
    """Why an image may hold text in its pixels; empty where nothing speaks for it. Raises ImageError.

    What its header says, what kind of image it is, and letters near the edge of its frames. Letters inside the body
    are not seen, and faces that can be reconstructed from slices are not text.
    """
    with guarded(path):
        said = _text_by_header(load(path, pixels=False))
    if said:
        return said
    for image in read_frames(path, brief=True):
        if _has_letters(image.pixels):
            return f"letters are seen near the edge of frame {image.frame}"
    return ""


def _text_by_header(dataset: Dataset) -> str:
    said = {name: str(dataset.get(name) or "").strip().upper() for name in ("BurnedInAnnotation", "Modality")}
    modality = said["Modality"]
    if said["BurnedInAnnotation"] == "YES":
        return "its header says that text is burnt in"
    if modality in _RISKY_MODALITIES or not modality:
        return f"images of its kind ({modality or 'no modality'}) often have names in their pixels"
    if str(dataset.get("SOPClassUID")) in _RISKY_CLASSES:
        return f"images of its kind ({dataset.SOPClassUID.name}) often have names in their pixels"
    label = str(dataset.get("SpecimenLabelInImage") or "").strip().upper() == "YES"
    if label or any(kind in str(dataset.get("ImageType") or "").upper() for kind in _RISKY_TYPES):
        return "its header says that it shows a label or a screen"
    return ""


def _has_letters(pixels: NDArray[np.generic]) -> bool:
    """Whether letters are near the edge of (rows, columns[, 3]); of colours: brighter and darker ones."""
    planes = [pixels] if pixels.ndim == 2 else [pixels.max(axis=2), pixels.min(axis=2)]
    step = max(1, max(pixels.shape[:2]) // _SAMPLED)
    for plane in planes:
        few = np.sort(plane[::step, ::step], axis=None)
        if find_letters(plane, contrast=float(few[int(0.99 * (few.size - 1))]) - float(few[0])).n:
            return True
    return False


def _save(dataset: Dataset, to: Path) -> None:
    """Write a data set. Raises ImageError where it cannot be put into bytes, and OSError as it comes."""
    try:
        with quiet:
            dataset.save_as(to, enforce_file_format=True)
    except (OSError, MemoryError):
        raise
    except Exception as fault:
        raise ImageError("The file cannot be written anew.") from fault


def key_of(out: Path, path: Path) -> tuple[Pseudonyms, bool]:
    """The key in a file for the copies in a folder, and whether it was made now.

    Raises SettingsError where copies are there that another key made: a patient would have two names in one folder,
    and be taken for two.
    """
    check = out / _CHECK
    if check.exists() and not path.exists():
        raise SettingsError(
            f"--key {path} is not there, and {out} has copies that were made with a key. Bring that key back, or "
            "choose another --out."
        )
    names, is_new = _read_or_make(path)
    mine = names.name("which key this is") + "\n"
    out.mkdir(parents=True, exist_ok=True)
    if not write_once(check, mine) and check.read_text(encoding="ascii", errors="replace") != mine:
        raise SettingsError(
            f"--key {path} is another key than that of the copies in {out}: a patient would get a second name. "
            "Give that key, or choose another --out."
        )
    return names, is_new


def _read_or_make(path: Path) -> tuple[Pseudonyms, bool]:
    """The key in a file, and whether it was made now. Only its owner may read it. Raises SettingsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists() and write_once(path, secrets.token_hex(_KEY_BYTES) + "\n")
    except OSError as fault:
        raise SettingsError(f"--key {path} cannot be written: {fault.strerror}. Choose another place.") from fault
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as fault:
        raise SettingsError(f"--key {path} is no key of overread. Name the file that an earlier run made.") from fault
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"--key {path} holds {len(key)} bytes and not {_KEY_BYTES}: it is no key of overread.")
    return Pseudonyms(key), is_new


def _nameless(fault: ImageError, path: Path) -> str:
    """A fault without what may be the patient's name: the file's, and values of it that a library puts into words."""
    if fault.__cause__ is not None:
        kind = type(fault.__cause__).__name__
        return f"the file cannot be read or written ({kind}). Export it again, or leave it out."
    return str(fault).replace(path.name, "the file")
