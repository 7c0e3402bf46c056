"""De-identify many files: each is read, looked at for text in its pixels, cleaned, and written under a new name."""

from __future__ import annotations

import filecmp
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from overread.data.deidentify import DeidentifySettings, Pseudonyms, deidentify
from overread.data.guard import guarded
from overread.data.image import prepare, read_frames, read_header
from overread.data.measures import column, measure
from overread.data.unused_bits import hides_overlay
from overread.disk import replacing, write_once
from overread.errors import ImageError, OverreadError, SettingsError
from overread.settings import ImageSettings

_KEY_BYTES = 32
_RISKY_MODALITIES = ("US", "IVUS", "XC", "ES", "SC", "OT", "DOC")
"""whose images have names in the pixels more often than not"""
_PLACED_BY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_LOOKED_AT = 3
"""frames of one file, its first and last among them, that are looked at for letters"""
_SQUARE = ImageSettings(size_px=64, window="header")


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
            dataset = dcmread(path, force=True)
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
            dataset.save_as(temporary, enforce_file_format=True)
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

    What its header says, what kind of image it is, and letters near the edge of some frames. Letters inside the body
    are not seen, and faces that can be reconstructed from slices are not text.
    """
    header = read_header(path)
    if (header.tags.get("burnt_in") or "").upper() == "YES":
        return "its header says that text is burnt in"
    modality = header.tags.get("modality", "")
    if modality in _RISKY_MODALITIES or not modality:
        return f"images of its kind ({modality or 'no modality'}) often have names in their pixels"
    chosen = sorted({0, header.n_frames // 2, header.n_frames - 1})[:_LOOKED_AT]
    for image in read_frames(path, chosen):
        found = measure(image, prepare(image, _SQUARE), fit=_SQUARE.fit)
        if float(column(found[None], "letters")[0]) > 0:
            return f"letters are seen near the edge of frame {image.frame}"
    return ""


def read_or_make_key(path: Path) -> tuple[Pseudonyms, bool]:
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


def _nameless(fault: OverreadError, path: Path) -> str:
    """A fault without the file's name, which may be the patient's."""
    return str(fault).replace(path.name, "the file")
