"""Files that mean harm: good DICOM files, each spoilt in one or more ways, the same ones for the same seed."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import numpy as np
from PIL import Image as Picture
from pydicom import Dataset, config, dcmread
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from tests.serve import spoilt_bytes, spoilt_values
from tests.serve.spoilt_values import OUTSIDE, PAYLOAD, Rng

__all__ = ["OUTSIDE", "PAYLOAD", "good_files", "hostile"]
MUTATIONS: dict[str, Callable[[Rng, bytes], bytes]] = {
    one.__name__: one
    for one in (
        spoilt_bytes.scattered,
        spoilt_bytes.cut,
        spoilt_bytes.moved,
        spoilt_bytes.lengths,
        spoilt_bytes.tags,
        spoilt_bytes.vrs,
        spoilt_bytes.syntax,
        spoilt_values.sizes,
        spoilt_values.numbers,
        spoilt_values.markup,
        spoilt_values.charsets,
        spoilt_values.uids,
        spoilt_bytes.nested,
        spoilt_bytes.private,
        spoilt_bytes.codestream,
        spoilt_values.luts,
        spoilt_bytes.deflated,
        spoilt_bytes.disguise,
    )
}
_UID = "1.2.826.0.1.3680043.8.498.1000000000"


def good_files(paths: Sequence[Path]) -> list[bytes]:
    """The same images in many encodings, each under one UID that `hostile` replaces."""
    found = []
    for number, path in enumerate(paths):
        for syntax in (
            ImplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
        ):
            found.append(_saved(_plain(path, number), syntax))
        for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            dataset = _plain(path, number)
            dataset.compress(syntax, generate_instance_uid=False)
            found.append(_saved(dataset, syntax))
        found.append(_saved(_baseline(_plain(path, number)), JPEGBaseline8Bit))
        found.append(_lossless(_plain(path, number)))
        found.append(_saved(_frames(_plain(path, number)), ExplicitVRLittleEndian))
    return found


def hostile(seed: int, good: Sequence[bytes]) -> tuple[str, str, bytes]:
    """What was done to a file, its SOP Instance UID before that, and the file. UIDs are as long as they were."""
    rng = np.random.default_rng(seed)
    uid = f"{_UID[:-10]}{2_000_000_000 + seed}"
    content = good[int(rng.integers(len(good)))].replace(_UID.encode(), uid.encode())
    names = list(MUTATIONS)
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2]))):
        name = names[int(rng.integers(len(names)))]
        done.append(name)
        content = MUTATIONS[name](rng, content)
    return "+".join(done), uid, content


def _plain(path: Path, number: int) -> Dataset:
    dataset = dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _UID
    dataset.InstanceNumber = number
    return dataset


def _baseline(dataset: Dataset) -> Dataset:
    values = dataset.pixel_array.astype(np.float64)
    grey = np.uint8(255 * (values - values.min()) / max(1.0, float(np.ptp(values))))
    stream = io.BytesIO()
    Picture.fromarray(grey).save(stream, format="JPEG")
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _lossless(dataset: Dataset) -> bytes:
    """By GDCM: nothing else writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.dcm")
        path.write_bytes(_saved(dataset, ExplicitVRLittleEndian))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        made = dcmread(path)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _UID
        return _saved(made, str(made.file_meta.TransferSyntaxUID))


def _frames(dataset: Dataset) -> Dataset:
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    return dataset


def _saved(dataset: Dataset, syntax: str) -> bytes:
    stream = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    with config.disable_value_validation():
        if not little:  # every element is read before it is written the other way round
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
            dataset["PixelData"].VR = "OW"
            list(dataset)
        dcmwrite(stream, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return stream.getvalue()
