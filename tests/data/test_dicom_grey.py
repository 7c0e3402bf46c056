"""From stored values to units and brightness, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, EnhancedCTImageStorage, MRImageStorage

from overread.data.image import prepare, read_frames, read_image
from overread.data.window import own_brightness
from overread.errors import ImageError
from overread.settings import ImageSettings


def _lut(first: int, entries: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US" if first >= 0 else "SS"
    item["LUTData"].VR = "US"
    return item


ROW = np.array([[0, 10, 20, 30]], np.uint16)


def test_rescale_to_hounsfield_units(make_dicom):
    image = read_image(make_dicom(ROW, RescaleSlope=2, RescaleIntercept=-1024))
    assert image.scale == "hu"
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, [[-1024, -1004, -984, -964]])


def test_modality_look_up_table(make_dicom):
    path = make_dicom(
        ROW, SOPClassUID=ComputedRadiographyImageStorage, Modality="CR",
        ModalityLUTSequence=Sequence([_lut(10, list(range(100, 111)))]),
    )  # fmt: skip
    image = read_image(path)
    assert image.scale == "raw"
    np.testing.assert_array_equal(image.pixels, [[100, 100, 110, 110]])


def test_signed_12_bits_in_16(make_dicom):
    """Bits above those stored are junk: 0x0FFF is -1 in 12 bits, with or without a bit above it."""
    stored = np.array([[0x0FFF, 0x1800, 0x0001, 0x07FF]], np.uint16)
    path = make_dicom(stored, BitsStored=12, HighBit=11, PixelRepresentation=1, RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_array_equal(read_image(path).pixels, [[-1, -2048, 1, 2047]])


def test_unsigned_12_bits_above_an_overlay(make_dicom):
    stored = np.array([[0x8005, 0x0006]], np.uint16)
    path = make_dicom(stored, BitsStored=12, HighBit=11, SOPClassUID=MRImageStorage, Modality="MR")
    np.testing.assert_array_equal(read_image(path).pixels, [[5, 6]])


def test_padding_takes_the_lowest_value_of_the_rest(make_dicom):
    stored = np.array([[-2000, -1000, 50, -2000]], np.int16)
    image = read_image(make_dicom(stored, PixelPaddingValue=-2000))
    np.testing.assert_array_equal(image.pixels, [[-1000, -1000, 50, -1000]])


def test_padding_written_without_its_sign(make_dicom):
    def unsigned(ds: Dataset) -> None:
        ds.add_new("PixelPaddingValue", "US", 63536)

    stored = np.array([[-2000, -1000, 50, -2000]], np.int16)
    image = read_image(make_dicom(stored, edit=unsigned))
    assert image.pixels.min() == -1000


def test_padding_as_a_range(make_dicom):
    stored = np.array([[-2000, -1990, -1000, 50]], np.int16)
    image = read_image(make_dicom(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990))
    np.testing.assert_array_equal(image.pixels, [[-1000, -1000, -1000, 50]])


def test_monochrome1_is_shown_inverted(make_dicom):
    image = read_image(
        make_dicom(
            ROW, PhotometricInterpretation="MONOCHROME1", SOPClassUID=ComputedRadiographyImageStorage,
            Modality="CR", PixelPaddingValue=0,
        )
    )  # fmt: skip
    # the padding becomes the value that is black: the highest
    np.testing.assert_array_equal(image.pixels, [[30, 10, 20, 30]])
    np.testing.assert_array_equal(own_brightness(image), [[0, 255, 128, 0]])


def test_monochrome1_in_8_bits(make_dicom):
    image = read_image(make_dicom(np.array([[0, 200]], np.uint8), PhotometricInterpretation="MONOCHROME1"))
    assert image.scale == "display"
    np.testing.assert_array_equal(image.pixels, [[255, 55]])


def test_named_windows_show_dense_as_white_whatever_the_file_prefers(make_dicom, ct):
    settings = ImageSettings(window="brain", size_px=32)
    prepared = [
        prepare(read_image(make_dicom(ct, PhotometricInterpretation=photometric)), settings)
        for photometric in ("MONOCHROME1", "MONOCHROME2")
    ]
    np.testing.assert_array_equal(*prepared)


@pytest.mark.parametrize(
    ("function", "center", "width", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: the centre of LINEAR lies half a step lower, and its width is one less
        (None, 15.5, 21, [0, 64, 191, 255]),
        ("LINEAR", 15.5, 31, [0, 85, 170, 255]),
        ("LINEAR_EXACT", 15, 20, [0, 64, 191, 255]),
        ("SIGMOID", 15, 20, [12, 69, 186, 243]),
        ("LINEAR", 10.5, 1, [0, 0, 255, 255]),
    ],
)
def test_the_files_own_window(make_dicom, function, center, width, expected):
    more = {"VOILUTFunction": function} if function else {}
    image = read_image(make_dicom(ROW.astype(np.int16), WindowCenter=center, WindowWidth=width, **more))
    assert image.window == (center, width)
    np.testing.assert_allclose(own_brightness(image).astype(int), [expected], atol=1)


def test_of_several_windows_the_first_counts(make_dicom):
    assert read_image(make_dicom(WindowCenter=[40, 600], WindowWidth=[80, 2800])).window == (40, 80)


@pytest.mark.parametrize(("center", "width"), [(40, 0), (None, 80), (40, -5)])
def test_a_window_that_cannot_be_used(make_dicom, center, width):
    assert read_image(make_dicom(WindowCenter=center, WindowWidth=width)).window is None


def test_voi_look_up_table(make_dicom):
    path = make_dicom(
        ROW, SOPClassUID=ComputedRadiographyImageStorage, Modality="CR", WindowCenter=10, WindowWidth=5,
        VOILUTSequence=Sequence([_lut(5, [0, *[1000] * 15, 4095], bits=12)]),
    )  # fmt: skip
    np.testing.assert_array_equal(own_brightness(read_image(path)), [[0, 62, 62, 255]])


def test_voi_look_up_table_below_zero(make_dicom):
    """The first mapped value is read as unsigned where the stored values are, and means -1024."""
    path = make_dicom(
        ROW, RescaleSlope=1, RescaleIntercept=-1024,
        VOILUTSequence=Sequence([_lut(64512, list(range(0, 256, 8)), bits=8)]),
    )  # fmt: skip
    np.testing.assert_array_equal(own_brightness(read_image(path)), [[0, 80, 160, 240]])


def test_a_short_look_up_table(make_dicom):
    item = _lut(0, [1, 2, 3])
    item.LUTDescriptor = [9, 0, 16]
    path = make_dicom(ROW, ModalityLUTSequence=Sequence([item]))
    with pytest.raises(ImageError, match=r"3 of 9 entries"):
        read_image(path)


def test_a_slope_of_nothing(make_dicom):
    with pytest.raises(ImageError, match="rescale slope"):
        read_image(make_dicom(RescaleSlope=0, RescaleIntercept=-1024))


def _groups(slope: float, center: float) -> Dataset:
    values, window, group = Dataset(), Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, -1000, "HU"
    window.WindowCenter, window.WindowWidth = center, 80
    group.PixelValueTransformationSequence = Sequence([values])
    group.FrameVOILUTSequence = Sequence([window])
    return group


def test_enhanced_ct_has_a_rescale_and_a_window_for_each_frame(make_dicom):
    def enhance(ds: Dataset) -> None:
        ds.PerFrameFunctionalGroupsSequence = Sequence([_groups(1, 40), _groups(2, 60)])

    path = make_dicom(np.stack([ROW, ROW]), SOPClassUID=EnhancedCTImageStorage, edit=enhance)
    first, second = read_frames(path)
    assert first.scale == "hu"
    np.testing.assert_array_equal(first.pixels, [[-1000, -990, -980, -970]])
    np.testing.assert_array_equal(second.pixels, [[-1000, -980, -960, -940]])
    assert (first.window, second.window) == ((40, 80), (60, 80))


def test_enhanced_ct_may_share_them(make_dicom):
    def enhance(ds: Dataset) -> None:
        ds.SharedFunctionalGroupsSequence = Sequence([_groups(1, 40)])
        ds.PerFrameFunctionalGroupsSequence = Sequence([Dataset(), Dataset()])

    path = make_dicom(np.stack([ROW, ROW]), SOPClassUID=EnhancedCTImageStorage, edit=enhance)
    assert [image.window for image in read_frames(path)] == [(40, 80), (40, 80)]
