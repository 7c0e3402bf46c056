from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError
from overread.model.caution import FILE, Caution, parse_caution, read_distance, write_distance
from overread.stats.outlying import fit_mahalanobis

FITTED = Caution(temperature=2.0, thresholds=(0.4, 0.7, 0.2), by_class=True, farthest=9.0, part="calibrate")


def plain(caution: Caution = FITTED, **changes: object) -> dict[str, object]:
    return {**json.loads(json.dumps(dataclasses.asdict(caution))), **changes}


def test_a_temperature_makes_it_less_sure_and_changes_no_answer() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    found = FITTED.probabilities(logits)
    e = math.e
    assert found[0] == pytest.approx([e / (e + 2), 1 / (e + 2), 1 / (e + 2)])
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_set_holds_each_class_that_is_no_stranger_than_its_own_threshold() -> None:
    p = [[0.6, 0.3, 0.1], [0.59, 0.31, 0.1], [0.1, 0.1, 0.8]]
    assert FITTED.sets(p).tolist() == [[True, True, False], [False, True, False], [False, False, True]]
    assert Caution().sets(p) is None


def test_what_lies_beyond_the_limit_is_far() -> None:
    assert FITTED.far([8.9, 9.0, 9.1]).tolist() == [False, False, True]
    assert Caution().far([1e9]) is None


def test_json_gives_it_back() -> None:
    assert parse_caution(plain(), 3) == FITTED
    assert parse_caution(plain(Caution()), 3) == Caution()


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        plain(temperature=0),
        plain(temperature=math.nan),
        plain(temperature=True),
        plain(temperature="1"),
        plain(thresholds=[0.1, 0.2]),
        plain(thresholds=[0.1, 0.2, None]),
        plain(thresholds=[0.1, 0.2, math.inf]),
        plain(farthest="far"),
        plain(alpha=None),
        plain(more=1),
        {key: value for key, value in plain().items() if key != "alpha"},
    ],
)
def test_a_caution_that_cannot_be_is_refused(values: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_caution(values, 3)


def test_the_distance_comes_back_from_its_file_and_holds_no_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.normal(size=(60, 8)) + 3 * labels[:, None]
    fitted = fit_mahalanobis(features, labels, 3)
    write_distance(tmp_path, fitted)
    kept = read_distance((tmp_path / FILE).read_bytes(), name="distance.npz")
    new = rng.normal(size=(5, 8))
    assert kept.distance(new) == pytest.approx(fitted.distance(new), rel=1e-5)
    with np.load(tmp_path / FILE, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_a_file_that_is_no_distance_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_distance(tmp_path, fit_mahalanobis(rng.normal(size=(30, 4)), np.arange(30) % 2, 2))
    whole = (tmp_path / FILE).read_bytes()
    with np.load(tmp_path / FILE) as file:
        arrays = dict(file)

    def saved(**changes: object) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **{**arrays, **changes})
        return stream.getvalue()

    bad = [
        b"", whole[: len(whole) // 2], saved(rest=np.float64(0)), saved(variances=-arrays["variances"]),
        saved(means=arrays["means"][:, :-1]), saved(means=np.array([{"a": 1}], dtype=object)),
        saved(variances=arrays["variances"][:-1]),
    ]  # fmt: skip
    for content in bad:
        with pytest.raises(ModelError, match="distance of the model cannot be read"):
            read_distance(content, name="distance of the model")


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_of_the_distance_is_more_than_an_error_in_words(seed: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    write_distance(tmp_path, fit_mahalanobis(x, np.arange(30) % 2, 2))
    content = bytearray((tmp_path / FILE).read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(content), 1 + seed):
        content[at] = int(rng.integers(256))
    with contextlib.suppress(ModelError):  # a change of a number alone is no damage that can be seen
        read_distance(bytes(content), name="distance.npz")
