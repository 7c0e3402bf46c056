from __future__ import annotations

import dataclasses
import io
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from overread.errors import ModelError
from overread.explain.examples import FILE, Examples, nearest, outliers, prototypes, read_examples, write_examples


def examples(
    features: Sequence[Sequence[float]] | np.ndarray,
    labels: Sequence[int],
    patients: Sequence[str | None],
    *,
    classes: Sequence[str] = ("disc", "square"),
) -> Examples:
    return Examples(
        features=np.asarray(features, np.float32),
        labels=np.asarray(labels, np.int64),
        classes=tuple(classes),
        patients=tuple(patients),
        paths=tuple(f"scans/{place}.dcm" for place in range(len(labels))),
        frames=tuple(range(len(labels))),
        parts=("train",) * len(labels),
    )


def at(*degrees: float) -> np.ndarray:
    """Directions in a plane, of lengths that must not matter."""
    turned = np.radians(degrees)
    return np.arange(1, len(degrees) + 1)[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1)


def kept(folder: Path, found: Examples) -> Examples:
    write_examples(folder, found)
    return read_examples((folder / FILE).read_bytes(), name=FILE)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e6])
def test_all_comes_back_from_the_file_features_to_three_digits(tmp_path, size) -> None:
    x = size * np.random.default_rng(0).normal(size=(7, 5))
    before = examples(x, [0, 1, 1, 0, 0, 1, 1], ["p", None, "q", "q", "röntgen", "r", "p"])
    after = kept(tmp_path, before)
    assert after.features == pytest.approx(before.features, rel=1e-3, abs=1e-6 * size)
    assert after.features.dtype == np.float32
    assert after.labels.tolist() == before.labels.tolist()
    for name in ("classes", "patients", "paths", "frames", "parts"):
        assert getattr(after, name) == getattr(before, name)


def test_the_file_holds_no_objects_and_features_in_half_precision(tmp_path) -> None:
    write_examples(tmp_path, examples(np.ones((3, 4)), [0, 1, 1], ["p", "q", None]))
    with np.load(tmp_path / FILE, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} <= set("fiU")
        assert file["features"].dtype == np.float16


def test_features_that_are_all_0_come_back_too(tmp_path) -> None:
    assert (kept(tmp_path, examples(np.zeros((2, 3)), [0, 1], ["p", "q"])).features == 0).all()


def test_a_file_that_is_no_examples_is_refused(tmp_path) -> None:
    write_examples(tmp_path, examples(at(0, 10, 90), [0, 0, 1], ["p", "q", "r"]))
    whole = (tmp_path / FILE).read_bytes()
    with np.load(tmp_path / FILE) as file:
        arrays = dict(file)

    def saved(**changes: object) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **{**arrays, **changes})
        return stream.getvalue()

    def without(name: str) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **{key: array for key, array in arrays.items() if key != name})
        return stream.getvalue()

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {**arrays, "features": np.zeros((3, 10**6), np.float16)}.items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{name}.npy", stream.getvalue())

    bad = [
        b"", b"PK", whole[: len(whole) // 2], whole[:-1], pickle.dumps(arrays), bomb.getvalue(),
        *map(without, arrays),
        saved(features=arrays["features"].astype(np.float32)), saved(features=arrays["features"][0]),
        saved(features=arrays["features"][:, :0]), saved(features=arrays["features"][:2]),
        saved(features=np.full((3, 2), np.nan, np.float16)), saved(scale=np.float64(np.inf)),
        saved(scale=np.float64(-1)), saved(scale=np.float64(1e300)), saved(scale=np.ones(3)),
        saved(labels=np.array([0, 1, 2])), saved(labels=np.array([0, -1, 1])), saved(labels=np.array([0.0, 0, 1])),
        saved(labels=np.array([[0], [0], [1]])), saved(classes=np.array(["a", "a"])),
        saved(classes=np.array([b"a", b"b"])), saved(paths=arrays["paths"][:-1]), saved(frames=np.array([0, 1, -1])),
        saved(patients=np.array(["p", "q", {"r": 1}], dtype=object)), saved(parts=np.array("train")),
    ]  # fmt: skip
    for content in bad:
        with pytest.raises(ModelError, match="examples of the model cannot be read"):
            read_examples(content, name="examples of the model")


def test_no_byte_of_a_broken_file_raises_another_error(tmp_path) -> None:
    write_examples(tmp_path, examples(at(0, 10, 90), [0, 0, 1], ["p", "q", "r"]))
    whole = (tmp_path / FILE).read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(1500):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 6)):
            broken[place] = rng.integers(256)
        try:
            read_examples(bytes(broken), name=FILE)
        except ModelError:
            refused += 1
    assert refused > 750


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.full((3, 2), np.nan, np.float32)}, {"features": np.ones(3, np.float32)},
        {"features": np.ones((4, 2), np.float32)}, {"labels": np.array([0, 1, 2])}, {"paths": ("a",)},
        {"classes": ("disc", "disc")},
    ],
)  # fmt: skip
def test_examples_that_do_not_hold_together_are_refused(change) -> None:
    with pytest.raises(ValueError, match=r"features|labels|paths|classes"):
        dataclasses.replace(examples(at(0, 10, 90), [0, 0, 1], ["p", "q", "r"]), **change)


def test_the_nearest_come_by_direction_and_tell_where_they_are_from() -> None:
    known = examples(at(0, 60, 90, 180), [0, 0, 1, 1], ["p", "q", "r", None])
    found = nearest(known, [7.0, 0.0], k=3)
    assert [one.place for one in found] == [0, 1, 2]
    assert [one.distance for one in found] == pytest.approx([0, 0.5, 1], abs=1e-6)
    second = found[1]
    assert (second.label, second.patient, second.path, second.frame) == ("disc", "q", "scans/1.dcm", 1)
    assert nearest(known, [7.0, 0.0], k=9)[-1].distance == pytest.approx(2)


def test_the_distance_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    x, asked = rng.normal(size=(20, 6)), rng.normal(size=6)
    found = nearest(examples(x, [0] * 20, [None] * 20), asked, k=20)
    known = np.sort(cosine_distances(asked[None], x.astype(np.float32))[0])
    assert [one.distance for one in found] == pytest.approx(known.tolist(), abs=1e-6)


def test_at_most_two_are_of_one_patient_and_the_images_own_is_left_out() -> None:
    known = examples(at(0, 1, 2, 3, 4, 5, 6), [0] * 7, ["p", "p", "p", "q", None, None, None])
    assert [one.place for one in nearest(known, [1.0, 0.0])] == [0, 1, 3, 4, 5]
    assert [one.place for one in nearest(known, [1.0, 0.0], not_patient="p")] == [3, 4, 5, 6]


def test_of_several_images_of_a_study_the_nearest_counts() -> None:
    known = examples(at(0, 60, 100), [0, 0, 1], ["p", "q", "r"])
    found = nearest(known, at(0, 100), k=3)
    assert [one.place for one in found] == [0, 2, 1]
    assert found[2].distance == pytest.approx(1 - np.cos(np.radians(40)), abs=1e-6)


def test_features_without_length_point_nowhere() -> None:
    known = examples([[0, 0], [1, 0]], [0, 1], ["p", "q"])
    assert [one.distance for one in nearest(known, [2.0, 0.0])] == [0, 1]
    assert [one.distance for one in nearest(known, [0.0, 0.0])] == [1, 1]


@pytest.mark.parametrize("asked", [[1.0], [1.0, 2.0, 3.0], [np.nan, 0.0], np.empty((0, 2)), np.ones((1, 1, 2))])
def test_features_of_another_kind_are_refused(asked) -> None:
    known = examples(at(0, 90), [0, 1], ["p", "q"])
    with pytest.raises(ValueError, match="2 finite numbers"):
        nearest(known, asked)
    with pytest.raises(ValueError, match="0 neighbours"):
        nearest(known, [1.0, 0.0], k=0)


def test_prototypes_lie_at_the_mean_of_their_class_one_a_patient() -> None:
    # each patient counts the same: p's three images at 0 weigh as r's one at 90, so that the mean lies at 47
    known = examples(at(0, 0, 0, 50, 90, 200), [0, 0, 0, 0, 0, 1], ["p", "p", "p", "q", "r", "s"])
    found = prototypes(known)
    assert [one.place for one in found["disc"]] == [3, 4, 0]
    assert found["disc"][0].distance == pytest.approx(1 - np.cos(np.radians(2.93)), abs=1e-5)
    assert [one.place for one in found["square"]] == [5]
    assert found["square"][0].distance == pytest.approx(0, abs=1e-6)


def test_an_image_that_lies_with_another_class_is_the_worst_outlier() -> None:
    known = examples(at(0, 2, 4, 88, 90, 86, 92, 94), [0, 0, 0, 0, 1, 1, 1, 1], list("abcdeffg"))
    found = outliers(known, k=2)
    worst = found["disc"][0]
    assert (worst.image.place, worst.image.label, worst.other) == (3, "disc", "square")
    assert worst.excess > 0.5
    assert found["disc"][1].excess < 0
    # one a patient: of f's two images only the one nearer to the discs
    assert [one.image.place for one in found["square"]] == [5, 4]


def test_an_outlier_names_the_nearest_of_the_other_classes() -> None:
    known = examples(at(0, 5, 100, 90, 95, 180), [0, 0, 0, 1, 1, 2], list("abcdef"), classes=("a", "b", "c", "none"))
    found = outliers(known, k=1)
    assert (found["a"][0].image.place, found["a"][0].other) == (2, "b")
    assert found["none"] == ()
    assert prototypes(known)["none"] == ()


def test_with_one_class_the_farthest_from_its_mean_is_the_outlier() -> None:
    found = outliers(examples(at(0, 1, 2, 40), [0] * 4, list("abcd"), classes=["disc"]), k=1)["disc"][0]
    assert (found.image.place, found.other) == (3, None)
    assert found.excess == found.image.distance
