"""The frames of a DICOM file as it stores them: no rescale, no window, no colour space of ours."""

from __future__ import annotations

from pathlib import Path

from pydicom.pixels.utils import get_expected_length, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGTransferSyntaxes,
)

from overread.data.codestream import at_pixels, check_codec, check_stream, decoder_of, frame_stream
from overread.data.dicom import load
from overread.data.dicom_header import describe
from overread.data.guard import guarded
from overread.data.pixels import check_frame, cut_short
from overread.errors import ImageError


class StoredFrames:
    """One file's frames, each read when it is asked for: between two nothing but the header is in memory.

    Raises ImageError where there is no image, and so does each frame that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with guarded(path):
            self._dataset = load(path, pixels=False)
            self.n_frames = describe(self._dataset, path, brief=True).n_frames
            self.syntax = UID(self._dataset.file_meta.TransferSyntaxUID)
            self.is_compressed = self.syntax.is_encapsulated
            self.has_values = self._has_values()
            """whether frames are to be had as values; colour that is compressed is to be had as it is alone"""

    def values(self, index: int) -> bytes:
        """One frame as explicit VR little endian has it (PS3.5 8.2): uncompressed, in the order of its header."""
        with guarded(self._path):
            check_frame(self._path.name, index, self.n_frames)
            if not self.is_compressed and self.syntax != ExplicitVRBigEndian:
                return self._cut_out(index)
            check_stream(self._dataset, self._path, index)
            plugin = decoder_of(self._dataset)
            found = pixel_array(self._path, index=index, raw=True, decoding_plugin=plugin)
            if found.ndim == 3 and self._dataset.get("PlanarConfiguration"):
                found = found.transpose(2, 0, 1)
            return found.astype(found.dtype.newbyteorder("<"), copy=False).tobytes()

    def stream(self, index: int) -> bytes:
        """One frame of a compressed file as it was compressed."""
        with guarded(self._path):
            check_frame(self._path.name, index, self.n_frames)
            return frame_stream(self._dataset, self._path, index)

    def _has_values(self) -> bool:
        if int(self._dataset.BitsAllocated) % 8:
            return False
        if not self.is_compressed:
            return True
        try:
            check_codec(self._dataset, self._path)
        except ImageError:
            return False
        is_plain = self._dataset.PhotometricInterpretation == "RGB" and self.syntax not in JPEGTransferSyntaxes
        return int(self._dataset.SamplesPerPixel) == 1 or is_plain

    def _cut_out(self, index: int) -> bytes:
        length = get_expected_length(self._dataset) // self.n_frames
        if self.syntax == DeflatedExplicitVRLittleEndian:
            content = bytes(load(self._path, pixels=True).PixelData)
            frame = content[index * length : (index + 1) * length]
        else:
            with at_pixels(self._path, implicit=bool(self._dataset.original_encoding[0])) as file:
                file.seek(index * length, 1)
                frame = file.read(length)
        if len(frame) < length:
            raise cut_short(self._path.name, f"frame {index} is not whole")
        return frame
