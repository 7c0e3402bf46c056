"""MedMNIST's layout: parts in order, labels as text, nothing unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from overread.data.image import npz_listing, read_frames, read_header, read_image
from overread.errors import CohortError, ImageError


def _arrays(shape: tuple[int, ...] = (4, 5)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    # written in another order than they are read
    for part, n in (("test", 2), ("train", 4), ("val", 3)):
        arrays[f"{part}_images"] = rng.integers(0, 255, (n, *shape)).astype(np.uint8)
        arrays[f"{part}_labels"] = np.arange(n).reshape(n, 1).astype(np.uint8) + 10 * n
    return arrays


def _write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_frames_run_through_train_val_and_test(tmp_path):
    arrays = _arrays()
    path = _write(tmp_path / "a.npz", **arrays)
    header = read_header(path)
    assert (header.format, header.n_frames, header.rows, header.columns, header.scale) == (
        "npz", 9, 4, 5, "display",
    )  # fmt: skip
    expected = np.concatenate([arrays[f"{part}_images"] for part in ("train", "val", "test")])
    np.testing.assert_array_equal([image.pixels for image in read_frames(path)], expected)
    np.testing.assert_array_equal([image.pixels for image in read_frames(path, [8, 0, 5, 4])], expected[[8, 0, 5, 4]])


def test_listing(tmp_path):
    labels, splits = npz_listing(_write(tmp_path / "a.npz", **_arrays()))
    assert labels == ["40", "41", "42", "43", "30", "31", "32", "20", "21"]
    assert splits == ["train"] * 4 + ["val"] * 3 + ["test"] * 2


def test_colour_and_single_channel(tmp_path):
    assert read_image(_write(tmp_path / "a.npz", **_arrays((4, 5, 3)))).pixels.shape == (4, 5, 3)
    assert read_image(_write(tmp_path / "b.npz", **_arrays((4, 5, 1)))).pixels.shape == (4, 5)


def test_16_bits_are_raw(tmp_path):
    image = read_image(_write(tmp_path / "a.npz", train_images=np.arange(8, dtype=np.uint16).reshape(2, 2, 2)))
    assert (image.scale, image.pixels.dtype) == ("raw", np.float32)


def test_several_labels_an_image(tmp_path):
    arrays = _arrays()
    arrays["val_labels"] = np.zeros((3, 14), np.uint8)
    with pytest.raises(CohortError, match="each image 14 labels"):
        npz_listing(_write(tmp_path / "a.npz", **arrays))


def test_labels_that_do_not_match(tmp_path):
    arrays = _arrays()
    arrays["test_labels"] = arrays["test_labels"][:1]
    with pytest.raises(CohortError, match="2 images and test_labels 1"):
        npz_listing(_write(tmp_path / "a.npz", **arrays))
    del arrays["test_labels"]
    with pytest.raises(CohortError, match="test_labels none"):
        npz_listing(_write(tmp_path / "b.npz", **arrays))


def test_nothing_is_unpickled(tmp_path):
    arrays = _arrays()
    arrays["val_labels"] = np.array([{"a": 1}, 2, 3], object)
    with pytest.raises(ImageError, match="allow_pickle"):
        npz_listing(_write(tmp_path / "a.npz", **arrays))
    with pytest.raises(ImageError, match="holds object"):
        read_header(_write(tmp_path / "b.npz", train_images=np.array([[[None]]])))


@pytest.mark.parametrize(
    ("arrays", "kind"),
    [
        ({"pictures": np.ones((2, 2, 2))}, "not-an-image"),
        ({"train_images": np.ones((2, 28, 28, 28), np.uint8)}, "not-an-image"),
        ({"train_images": np.ones((2, 0, 4), np.uint8)}, "zero-size"),
        ({"train_images": np.ones((0, 4, 4), np.uint8)}, "zero-size"),
        ({"train_images": np.ones((2, 4, 4), np.uint8)}, "constant"),
        ({"train_images": np.array([[[1.0, np.nan]]])}, "nan"),
    ],
)
def test_bad_archives(tmp_path, arrays, kind):
    with pytest.raises(ImageError) as failure:
        read_image(_write(tmp_path / "a.npz", **arrays))
    assert failure.value.kind == kind


def test_truncated(tmp_path):
    path = _write(tmp_path / "a.npz", **_arrays())
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ImageError) as failure:
        read_image(path)
    assert failure.value.kind == "truncated"


def test_a_bomb_by_its_header(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=np.ones((1, 22222, 2), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"(1, 22222, 2), }", b"(1,22222,22222)}"))
    with pytest.raises(ImageError) as failure:
        read_header(path)
    assert failure.value.kind == "bomb"


def test_pneumoniamnist(shared):
    path = shared / "data/pneumoniamnist/pneumoniamnist.npz"
    assert read_header(path).n_frames == 4708 + 524 + 624
    labels, splits = npz_listing(path)
    assert set(labels) == {"0", "1"}
    assert [splits.count(part) for part in ("train", "val", "test")] == [4708, 524, 624]
