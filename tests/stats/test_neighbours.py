from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import NearestNeighbors

from overread.stats import neighbours
from overread.stats.neighbours import expected_purity, principal_plane, purity, silhouette


def blobs(seed: int, n: int, *, apart: float, d: int = 6, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return rng.normal(size=(n, d)) + apart * rng.normal(size=(classes, d))[labels], labels


@pytest.fixture(params=[2_000_000, 500])
def _blocks(request, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK_CELLS", request.param)


def test_purity_of_points_on_a_line_is_counted_by_hand() -> None:
    found = purity([[0.0], [1.0], [2.5], [4.5], [7.0]], list("aabbb"), k=2)
    assert found.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0]


def test_blobs_well_parted_are_pure() -> None:
    x, labels = blobs(0, 60, apart=100)
    assert (purity(x, labels) == 1).all()
    assert silhouette(x, labels).min() > 0.9


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("k", [1, 5, 40])
def test_purity_is_that_of_scikit_learns_neighbours(k) -> None:
    x, labels = blobs(1, 90, apart=0.7)
    near = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    assert purity(x, labels, k=k) == pytest.approx((labels[near] == labels[:, None]).mean(axis=1))


def test_images_of_ones_own_group_are_no_neighbours() -> None:
    """Two patients a class, far from each other: without groups each image lies with its patient."""
    x = np.repeat([[0.0], [9.0], [12.0], [21.0]], 6, axis=0) + np.tile(np.linspace(0, 0.5, 6), 4)[:, None]
    labels, patients = np.repeat([0, 1, 0, 1], 6), np.repeat([0, 1, 2, 3], 6)
    assert (purity(x, labels) == 1).all()
    assert (purity(x, labels, groups=patients) == 0).all()


@pytest.mark.usefixtures("_blocks")
def test_purity_with_groups_is_that_of_a_plain_search() -> None:
    x, labels = blobs(2, 80, apart=0.7)
    groups = np.random.default_rng(2).integers(0, 9, 80)
    expected = []
    for i in range(80):
        others = np.flatnonzero(groups != groups[i])
        near = others[np.argsort(((x[others] - x[i]) ** 2).sum(axis=1))[:5]]
        expected.append((labels[near] == labels[i]).mean())
    assert purity(x, labels, groups=groups) == pytest.approx(expected)


def test_equally_near_images_each_count_a_part() -> None:
    x = [[0.0], [1.0], [-1.0]]
    assert purity(x, ["a", "a", "b"], k=1)[0] == 0.5
    same = np.full((10, 3), 0.1)
    assert purity(same, [0] * 6 + [1] * 4) == pytest.approx([5 / 9] * 6 + [3 / 9] * 4)


def test_equally_near_but_for_rounding_is_equally_near() -> None:
    turned = np.linspace(0, 2 * np.pi, 13, endpoint=False)
    ring = 7.3 + np.stack([np.cos(turned), np.sin(turned)], axis=1)
    x = np.vstack([[[7.3, 7.3]], ring])
    assert purity(x, [1] + [0, 1] * 6 + [1])[0] == pytest.approx(7 / 13)


def test_where_fewer_than_k_are_left_these_count() -> None:
    x, groups = np.arange(4.0)[:, None], ["p", "p", "p", "q"]
    assert purity(x, [0, 0, 1, 0], groups=groups).tolist() == [1, 1, 0, 2 / 3]


def test_random_labels_are_as_pure_as_expected() -> None:
    """The mean over many deals of labels to whole patients of unlike size, whose slices lie close together."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(24), rng.integers(1, 9, 24))
    x = rng.normal(size=(24, 3))[patients] + 0.1 * rng.normal(size=(len(patients), 3))
    seen, expected = [], []
    for _ in range(400):
        labels = rng.permutation(np.repeat([0, 1, 2], [14, 6, 4]))[patients]
        seen.append(purity(x, labels, groups=patients).mean())
        expected.append(expected_purity(labels, patients))
    spread = np.std(seen) / np.sqrt(400)
    assert abs(np.mean(seen) - np.mean(expected)) < 4 * spread
    # were the slices of one patient let in, the same labels would look learnt
    assert purity(x, labels).mean() > np.mean(seen) + 0.1


def test_expected_purity_is_counted_by_hand() -> None:
    assert expected_purity(["a", "a", "b", "b"]) == pytest.approx(1 / 3)
    assert expected_purity(list("aabb"), list("ppqr")) == pytest.approx((0 + 0 + 1 / 3 + 1 / 3) / 4)
    assert np.isnan(expected_purity(["a", "b"], ["p", "p"]))


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("apart", [0.0, 0.5, 3.0])
def test_silhouette_is_that_of_scikit_learn(apart) -> None:
    x, labels = blobs(4, 70, apart=apart)
    labels[0] = 7
    assert silhouette(x + 1e3, labels) == pytest.approx(silhouette_samples(x, labels), abs=1e-9)


@pytest.mark.usefixtures("_blocks")
def test_silhouette_with_groups_is_that_of_the_images_of_others() -> None:
    x, labels = blobs(5, 60, apart=0.6)
    groups = np.random.default_rng(5).integers(0, 12, 60)
    expected = []
    for i in range(60):
        kept = (groups != groups[i]) | (np.arange(60) == i)
        expected.append(silhouette_samples(x[kept], labels[kept])[np.flatnonzero(kept) == i][0])
    assert silhouette(x, labels, groups) == pytest.approx(expected, abs=1e-9)


def test_silhouette_is_0_where_nothing_can_be_compared() -> None:
    x = np.arange(3.0)[:, None]
    found = silhouette(x, ["a", "b", "a"], ["p", "p", "q"])
    # p's a has no b of another to lie away from, p's b no other b
    assert found.tolist() == [0, 0, (1 - 2) / 2]


def test_one_image_or_one_class_has_no_silhouette() -> None:
    assert np.isnan(purity([[1.0, 2.0]], [0])).all()
    assert np.isnan(silhouette([[1.0, 2.0]], [0])).all()
    x, _ = blobs(6, 12, apart=1)
    assert (purity(x, [0] * 12) == 1).all()
    assert np.isnan(silhouette(x, [0] * 12)).all()
    assert np.isnan(purity(x, [0] * 12, groups=["p"] * 12)).all()


def test_the_same_features_everywhere_part_nothing() -> None:
    same = np.tile(np.random.default_rng(7).normal(size=40), (30, 1))
    assert (silhouette(same, np.arange(30) % 2) == 0).all()
    plane = principal_plane(same)
    assert (plane.points == 0).all()
    assert np.isnan(plane.shares).all()


def test_the_plane_is_that_of_scikit_learn_up_to_signs() -> None:
    x, _ = blobs(8, 50, apart=2)
    known = PCA(2).fit(x)
    plane = principal_plane(x)
    assert np.abs(plane.points) == pytest.approx(np.abs(known.transform(x)))
    assert plane.shares == pytest.approx(known.explained_variance_ratio_)


def test_the_plane_does_not_turn_over_with_the_order_of_the_images() -> None:
    x, _ = blobs(9, 50, apart=2)
    order = np.random.default_rng(9).permutation(50)
    assert principal_plane(x[order]).points == pytest.approx(principal_plane(x).points[order])
    # equal loadings: the first is positive
    slope = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])
    assert principal_plane(slope).points[:, 0] == pytest.approx([2**0.5, -(2**0.5), 0])


def test_a_plane_of_few_points_or_numbers_is_flat_on_the_second_axis() -> None:
    assert principal_plane([[3.0, 4.0]]).points.tolist() == [[0, 0]]
    line = principal_plane([[0.0], [2.0], [4.0]])
    assert line.points.tolist() == [[-2, 0], [0, 0], [2, 0]]
    assert line.shares.tolist() == [1, 0]


@pytest.mark.parametrize(
    "bad", [[[np.nan], [1.0]], [[np.inf], [1.0]], [1.0, 2.0], np.empty((2, 0)), np.empty((0, 3))]
)
def test_features_that_are_none_are_refused(bad) -> None:
    for ask in (lambda: purity(bad, [0, 1]), lambda: silhouette(bad, [0, 1]), lambda: principal_plane(bad)):
        with pytest.raises(ValueError, match="features"):
            ask()


def test_labels_that_do_not_fit_are_refused() -> None:
    x = np.zeros((3, 2))
    for ask in (purity, silhouette):
        with pytest.raises(ValueError, match="do not match"):
            ask(x, [0, 1])
        with pytest.raises(ValueError, match="given for"):
            ask(x, [0, 1, 1], groups=["p"])
    with pytest.raises(ValueError, match="k is 0"):
        purity(x, [0, 1, 1], k=0)
