from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from overread.model import bundle
from overread.model.backbones import create
from overread.model.stages import stages_of
from overread.settings import TrainSettings
from overread.training import course, sources
from overread.training.batches import Normaliser, Part
from overread.training.course import train_network
from overread.training.history import EpochRow, History
from overread.training.watch import Silent


def make_part(n: int, *, seed: int, wrong: bool) -> Part:
    """Images whose class is their brightness: dark or bright; where `wrong`, one of six has the other's label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    pixels = rng.integers(0, 80, (n, 32, 32, 3)) + 150 * labels[:, None, None, None]
    labels = np.where(wrong & (np.arange(n) % 6 == 0), 1 - labels, labels)
    return Part(pixels=pixels.astype(np.uint8), indices=np.arange(n), labels=labels.astype(np.int64))


def fit(
    folder: Path,
    *,
    network: nn.Module | None = None,
    watch: Silent | None = None,
    go_on: bool = True,
    wrong: bool = True,
    **given: object,
) -> History:
    values = {"epochs": 3, "batch_size": 8, "device": "cpu", "learn": "grow", "views": 2, **given}
    return train_network(
        network or create("test_resnet", 2, seed=0),
        train=make_part(24, seed=1, wrong=wrong),
        val=make_part(12, seed=2, wrong=wrong),
        n_classes=2,
        settings=TrainSettings(**values),  # type: ignore[arg-type]
        normalise=Normaliser((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        folder=folder,
        watch=watch or Silent(),
        go_on=go_on,
    )


def depths(history: History) -> list[float]:
    return [row.stages_learning for row in history]


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every phase counts as a gain, so that the training goes all the way down."""
    monkeypatch.setattr(course, "gains", lambda before, after: True)


def test_the_head_alone_moves_nothing_below(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    history = fit(tmp_path, network=network, learn="head")
    assert depths(history) == [1]
    assert history.rows[0].val_accuracy == pytest.approx(10 / 12)
    after = network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}
    for name, array in bundle.load_weights(tmp_path).items():
        np.testing.assert_array_equal(array, after[name].numpy(), err_msg=name)


def test_what_the_row_of_the_head_says_is_what_the_network_does(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    history = fit(tmp_path, network=network, learn="head")
    network.eval()
    part = make_part(12, seed=2, wrong=True)
    with torch.no_grad():
        logits = network((part.batch(np.arange(12)).float() / 255 - 0.5) / 0.25)
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(part.labels))
    assert history.rows[0].val_loss == pytest.approx(float(loss), rel=0.02)  # kept as float16


def test_it_stops_at_the_head_where_nothing_is_left_to_gain(tmp_path: Path) -> None:
    assert depths(fit(tmp_path, wrong=False)) == [1]


def test_it_stops_where_more_depth_gains_nothing(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    said: list[str] = []

    class Listens(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    history = fit(tmp_path, network=network, watch=Listens(), epochs=10)
    n_stages = len(stages_of(network))
    assert n_stages not in depths(history)
    assert depths(history)[:2] == [1, 2]
    assert "gained nothing" in said[-1]
    below = [name for name in before if not name.startswith(("layer4", "fc"))]
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in below)


@pytest.mark.usefixtures("gaining")
def test_it_goes_down_to_the_input_while_each_phase_gains(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    statistics, filters = network.layer1[0].bn1.running_mean.clone(), network.conv1[0].weight.clone()
    history = fit(tmp_path, network=network, epochs=6)
    assert depths(history)[0] == 1
    assert depths(history)[-3:] == [6, 6, 6]
    assert set(depths(history)) == {1, 2, 6}
    assert not torch.equal(filters, network.conv1[0].weight)
    assert torch.equal(statistics, network.layer1[0].bn1.running_mean)  # the solved head rests on them


def test_where_everything_learns_at_once_statistics_follow_the_images(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    statistics = network.layer1[0].bn1.running_mean.clone()
    fit(tmp_path, network=network, learn="all", epochs=1)
    assert not torch.equal(statistics, network.layer1[0].bn1.running_mean)


@pytest.mark.parametrize("promises", [True, False])
def test_where_the_last_stage_gains_nothing_a_glance_decides(
    promises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def pretend(before: np.ndarray, after: np.ndarray) -> bool:
        asked.append(len(after))
        return promises and len(asked) == 2  # of the last stage first, then of the glance

    monkeypatch.setattr(course, "gains", pretend)
    history = fit(tmp_path, epochs=6)
    assert asked == [12, 12]
    assert (6 in depths(history)) == promises


def test_a_glance_sees_so_many_images_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "GLANCE_IMAGES", 10)
    monkeypatch.setattr(course, "gains", lambda before, after: False)
    seen: list[tuple[int, int]] = []

    class Listens(Silent):
        def step(self, what: str, done: int, total: int) -> None:
            if what.startswith("epoch"):
                seen.append((done, total))

    network = create("test_resnet", 2, seed=0)
    fit(tmp_path, network=network, watch=Listens())
    assert seen[-2:] == [(8, 10), (10, 10)]  # two batches of eight, and no more
    for name, array in bundle.load_weights(tmp_path).items():
        np.testing.assert_array_equal(array, network.state_dict()[name].numpy(), err_msg=name)


@pytest.mark.usefixtures("gaining")
def test_frozen_stages_stay_frozen_to_the_end(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert set(depths(fit(tmp_path, network=network, freeze=3))) == {1, 2, 3}
    below = [name for name in before if name.startswith(("conv1", "bn1", "layer1", "layer2"))]
    assert below
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in below)


@pytest.mark.usefixtures("gaining")
@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_run_stopped_after_any_epoch_ends_the_same(after: int, tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", augment="medical", epochs=6)
    assert len(whole) > after

    class Stops(Silent):
        def epoch(self, row: EpochRow, best: bool) -> None:
            if row.epoch == after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", watch=Stops(), epochs=6)
    again = fit(tmp_path / "cut", epochs=6)
    assert [row.figures() for row in again] == [row.figures() for row in whole]
    one, two = (bundle.load_weights(tmp_path / name) for name in ("whole", "cut"))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)
    assert [row.figures() for row in fit(tmp_path / "cut", go_on=False, epochs=6)] == [row.figures() for row in whole]


def test_without_room_on_the_disk_it_learns_the_same_the_long_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fit(tmp_path / "kept", augment="none", precision="float32")
    monkeypatch.setattr(sources, "DISK_SHARE", 0)
    said: list[str] = []

    class Listens(Silent):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    anew = fit(tmp_path / "anew", augment="none", precision="float32", watch=Listens())
    assert any("no room for it" in sentence for sentence in said)
    assert depths(anew) == depths(kept)
    for one, two in zip(anew, kept, strict=True):
        assert one.val_loss == pytest.approx(two.val_loss, abs=0.01)
