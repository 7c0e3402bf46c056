from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from overread.errors import RunError
from overread.model import bundle
from overread.model.backbones import create
from overread.model.stages import stages_of
from overread.settings import TrainSettings, recipe_settings
from overread.training.batches import Normaliser, Part
from overread.training.course import train_network
from overread.training.history import EpochRow, History
from overread.training.watch import Silent


def make_part(n: int, *, seed: int) -> Part:
    """Images whose class is their brightness: dark or bright."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    pixels = rng.integers(0, 80, (n, 32, 32, 3)) + 150 * labels[:, None, None, None]
    return Part(pixels=pixels.astype(np.uint8), indices=np.arange(n), labels=labels.astype(np.int64))


def settings_of(**given: object) -> TrainSettings:
    values = {"epochs": 3, "batch_size": 8, "device": "cpu", "learn": "all", "learning_rate": 1e-3, **given}
    return recipe_settings("default", **values)


NORMALISE = Normaliser((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def fit(
    folder: Path, settings: TrainSettings, watch: Silent | None = None, network: nn.Module | None = None
) -> History:
    return train_network(
        network or create("test_resnet", 2, seed=0),
        train=make_part(24, seed=1),
        val=make_part(12, seed=2),
        n_classes=2,
        settings=settings,
        normalise=NORMALISE,
        folder=folder,
        watch=watch or Silent(),
    )


def test_it_learns_what_can_be_learnt(tmp_path: Path) -> None:
    history = fit(tmp_path, settings_of(epochs=8))
    assert len(history) == 8
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    assert history.best("val_accuracy").val_accuracy == 1.0
    assert all(row.seconds > 0 and row.images_per_second > 0 for row in history)


def test_the_best_epoch_is_the_one_on_disk(tmp_path: Path) -> None:
    saved: list[str] = []

    class Watch(Silent):
        def epoch(self, row: EpochRow, best: bool) -> None:
            if best:
                saved.append(bundle.hash_file(tmp_path / bundle.WEIGHTS))

    history = fit(tmp_path, settings_of(epochs=4), Watch())
    assert bundle.hash_file(tmp_path / bundle.WEIGHTS) == saved[-1]
    assert len(set(saved)) == len(saved) <= 4
    assert history.best_epoch("val_loss") >= len(saved)


def test_a_trainer_takes_up_where_another_stopped(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", settings_of())

    class StopsAfterTwo(Silent):
        def epoch(self, row: EpochRow, best: bool) -> None:
            if row.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", settings_of(), StopsAfterTwo())
    history = fit(tmp_path / "cut", settings_of())
    assert [row.train_loss for row in history] == [row.train_loss for row in whole]
    assert [row.val_loss for row in history] == [row.val_loss for row in whole]
    first, second = bundle.load_resume(tmp_path / "whole"), bundle.load_resume(tmp_path / "cut")
    assert first is not None
    assert second is not None
    for name, array in first[0].items():
        np.testing.assert_array_equal(array, second[0][name], err_msg=name)


def test_dropout_repeats_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    def losses(folder: Path) -> list[float]:
        network = create("test_resnet", 2, seed=0)
        network.drop_rate = 0.5
        return [row.train_loss for row in fit(folder, settings_of(epochs=2), network=network)]

    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = losses(tmp_path / "a")
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(8)
    assert losses(tmp_path / "b") == first


def test_frozen_stages_do_not_move_at_all(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    fit(tmp_path, settings_of(freeze=2), network=network)
    after = network.state_dict()
    frozen = {id(t) for _, ms in stages_of(network)[:2] for m in ms for t in [*m.parameters(), *m.buffers()]}
    named = [*network.named_parameters(), *network.named_buffers()]
    for name, tensor in named:
        if id(tensor) in frozen:  # normalisation statistics too
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["fc.weight"], after["fc.weight"])


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path: Path) -> None:
    network = create("test_resnet", 2, seed=0)
    with torch.no_grad():
        network.fc.weight.fill_(float("inf"))
    with pytest.raises(RunError, match=r"epoch 1.*--learning-rate"):
        fit(tmp_path, settings_of(), network=network)
