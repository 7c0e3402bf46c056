from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageEnhance

from overread.data.alike import THRESHOLD_BITS, alike_groups, fingerprint
from overread.data.groups import join_pairs

Bytes = NDArray[np.uint8]


def anatomy(rng: np.random.Generator) -> Pillow.Image:
    """A smooth random picture of 256 x 256."""
    coarse = rng.integers(0, 256, (12, 12), dtype=np.uint8)
    return Pillow.fromarray(coarse).resize((256, 256), Pillow.Resampling.BICUBIC)


def prepared(picture: Pillow.Image) -> Bytes:
    grey = np.asarray(picture.convert("L").resize((224, 224), Pillow.Resampling.BILINEAR))
    return np.stack([grey] * 3, axis=-1)


def saved(picture: Pillow.Image, quality: int) -> Pillow.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Pillow.open(file)


def changed(picture: Pillow.Image) -> dict[str, Pillow.Image]:
    small = picture.resize((picture.width // 3, picture.height // 3))
    return {
        "the same": picture.copy(),
        "compressed": saved(picture, 50),
        "smaller": small,
        "smaller and compressed": saved(small, 60),
        "larger": picture.resize((picture.width * 3 // 2, picture.height * 3 // 2)),
        "brighter": ImageEnhance.Brightness(picture).enhance(1.08),
        "darker": ImageEnhance.Brightness(picture).enhance(0.8),
    }


def bits_apart(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> int:
    return int(np.unpackbits((first ^ second).view(np.uint8)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_stays_near_and_another_picture_is_far(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = anatomy(rng)
    own = fingerprint(prepared(picture))
    for name, copy in changed(picture).items():
        assert bits_apart(own, fingerprint(prepared(copy))) <= THRESHOLD_BITS, name
    assert bits_apart(own, fingerprint(prepared(anatomy(rng)))) > 3 * THRESHOLD_BITS


def test_blank_images_are_alike_whatever_their_noise() -> None:
    rng = np.random.default_rng(0)
    blank = [np.full((64, 64, 3), level) + rng.integers(0, 4, (64, 64, 3)) for level in (0, 100, 250)]
    assert {tuple(fingerprint(image.astype(np.uint8))) for image in blank} == {(0, 0, 0, 0)}


def test_a_white_disc_is_alike_to_itself_in_another_size() -> None:
    def disc(side: int) -> Pillow.Image:
        y, x = np.mgrid[:side, :side] / side - 0.5
        return Pillow.fromarray(np.where(x**2 + y**2 < 0.2, 255, 0).astype(np.uint8))

    assert bits_apart(fingerprint(prepared(disc(512))), fingerprint(prepared(disc(256)))) <= THRESHOLD_BITS


def clusters(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """Fingerprints of which many are a few bits from another."""
    bits = rng.integers(0, 2, (n, 256), dtype=np.uint8)
    for at in range(1, n):
        if rng.random() < 0.7:
            bits[at] = bits[rng.integers(at)]
            bits[at, rng.choice(256, int(rng.integers(0, 25)), replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


@pytest.mark.parametrize("threshold", [0, 1, 7, 16])
@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_that_comparing_every_pair_finds(seed: int, threshold: int) -> None:
    prints = clusters(np.random.default_rng(seed), 200)
    pairs = [
        (first, second)
        for first in range(200)
        for second in range(first)
        if bits_apart(prints[first], prints[second]) <= threshold
    ]
    assert alike_groups(prints, threshold=threshold).tolist() == join_pairs(200, pairs).tolist()


def test_a_hundred_thousand_equal_images_and_none_at_all() -> None:
    assert set(alike_groups(np.zeros((100_000, 4), np.uint64)).tolist()) == {0}
    assert alike_groups(np.zeros((0, 4), np.uint64)).tolist() == []
    with pytest.raises(ValueError, match="threshold"):
        alike_groups(np.zeros((1, 4), np.uint64), threshold=17)


def test_brain_ct_leaves_a_split_that_works(shared: Path) -> None:
    paths = sorted((shared / "data/brain-ct/jpg").glob("*/*.jpg"), key=lambda path: (path.parent, int(path.stem)))
    prints = []
    for path in paths:
        with Pillow.open(path) as picture:
            prints.append(fingerprint(prepared(picture)))
    groups = alike_groups(np.stack(prints))
    largest = np.bincount(groups).max()
    assert len(set(groups.tolist())) > 120
    assert largest < len(paths) / 8
    at = {(path.parent.name, path.stem): group for path, group in zip(paths, groups.tolist(), strict=True)}
    discs = [("aneurysm", "81"), ("aneurysm", "82"), ("aneurysm", "83"), ("cancer", "89"), ("cancer", "90")]
    assert len({at[disc] for disc in discs}) == 1


def test_covid_ct_figures_differ_and_copies_of_them_are_found(shared: Path) -> None:
    paths = sorted((shared / "data/covid-ct/images").glob("*/*"))[::15]
    prints = []
    for path in paths:
        with Pillow.open(path) as picture:
            grey = picture.convert("L")
            prints += [fingerprint(prepared(grey)), fingerprint(prepared(saved(grey, 40)))]
    groups = alike_groups(np.stack(prints)).reshape(-1, 2)
    assert (groups[:, 0] == groups[:, 1]).all()
    assert len(set(groups[:, 0].tolist())) >= len(paths) - 2
