"""Small DICOM files made to measure, for the tests of everything that reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from overread.data.image import prepare, read_image
from overread.errors import ImageError
from overread.settings import ImageSettings

MakeDicom = Callable[..., Path]
KindOf = Callable[[Path], str]


def ct_slice(rows: int = 32, columns: int = 48) -> NDArray[np.int16]:
    """A disc of 40 HU in air of -1000 HU, with a ramp in it, as (rows, columns) int16."""
    y, x = np.mgrid[:rows, :columns]
    inside = (y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (rows / 2.5) ** 2
    return np.where(inside, 40 + x - columns // 2, -1000).astype(np.int16)


def dataset(stored: NDArray[Any], **attributes: Any) -> Dataset:
    """A CT slice, or what the attributes make of it; `stored`: ([frames,] rows, columns[, 3])."""
    colour = stored.ndim >= 3 and stored.shape[-1] == 3
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "P1", "Doe^Jane"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    rows_at = stored.ndim - (3 if colour else 2)
    ds.Rows, ds.Columns = stored.shape[rows_at : rows_at + 2]
    if rows_at:
        ds.NumberOfFrames = stored.shape[0]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    elif stored.dtype.kind == "i":
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    bits = 8 * stored.dtype.itemsize
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = stored.tobytes() + b"\x00" * (stored.nbytes % 2)
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


@pytest.fixture
def by_gdcm() -> Callable[[Path, str], Path]:
    """`by_gdcm(path, "JPEGLosslessProcess14")` compresses a file where it lies, and returns its path."""

    def compress(path: Path, name: str) -> Path:
        """Compress a file with GDCM, for what pydicom does not write."""
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return path

    return compress


@pytest.fixture
def make_dicom(tmp_path: Path) -> MakeDicom:
    """`make_dicom(stored, name="a.dcm", edit=change, **attributes)` writes a file and returns its path."""

    def make(
        stored: NDArray[Any] | None = None,
        *,
        name: str = "a.dcm",
        edit: Callable[[Dataset], Any] | None = None,
        **attributes: Any,
    ) -> Path:
        ds = dataset(ct_slice() if stored is None else stored, **attributes)
        if edit is not None:
            edit(ds)
        ds.save_as(tmp_path / name, enforce_file_format=True)
        return tmp_path / name

    return make


@pytest.fixture
def ct() -> NDArray[np.int16]:
    return ct_slice()


@pytest.fixture
def kind_of() -> KindOf:
    """`kind_of(path)`: what is wrong with a file that cannot be used. Its error names the file and no folder."""

    def find(path: Path) -> str:
        with pytest.raises(ImageError) as failure:
            prepare(read_image(path), ImageSettings())
        assert path.name in str(failure.value)
        assert str(path.parent) not in str(failure.value)
        assert "\n" not in str(failure.value)
        return failure.value.kind

    return find


@pytest.fixture
def local_dicom() -> Callable[[str], Path]:
    """`local_dicom(name)`: a file that comes with pydicom; none is downloaded."""

    def find(name: str) -> Path:
        found = get_testdata_file(name, download=False)
        if found is None:
            pytest.skip(f"this pydicom does not bring {name}")
        return Path(found)

    return find
