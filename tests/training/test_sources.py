from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from overread.training import sources
from overread.training.batches import Normaliser, Part
from overread.training.machine import Machine
from overread.training.sources import Kept, Pixels, run_over
from overread.training.watch import Silent

MACHINE = Machine(device=torch.device("cpu"), bfloat16=False)


def pixels(*, augment: bool) -> Pixels:
    rng = np.random.default_rng(0)
    part = Part(
        pixels=rng.integers(0, 256, (70, 16, 16, 3), dtype=np.uint8),
        indices=np.arange(0, 70),
        labels=np.arange(70) % 2,
    )
    return Pixels(part=part, normalise=Normaliser((0.5,) * 3, (0.25,) * 3), device=MACHINE.device, augment=augment)


@pytest.fixture
def layer() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)).eval()


def kept(layer: nn.Module, folder: Path, *, augment: bool, n_views: int = 3) -> Kept:
    return Kept(layer, pixels(augment=augment), n_views=n_views, machine=MACHINE, folder=folder)


def test_what_is_kept_is_what_the_layers_give(layer: nn.Module, tmp_path: Path) -> None:
    store = kept(layer, tmp_path, augment=False)
    store.fill(3, seed=0, watch=Silent(), what="w")
    chosen = np.array([69, 3, 3])
    with torch.no_grad():
        wanted = layer(store._pixels.inputs(chosen))
    found = store.inputs(chosen)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(store.inputs(chosen, torch.Generator().manual_seed(0)), found)  # nothing changes: one view
    assert store.n_bytes == 70 * 5 * 8 * 8 * 2


def test_training_draws_among_the_views_that_are_there(layer: nn.Module, tmp_path: Path) -> None:
    store = kept(layer, tmp_path, augment=True)
    generator = torch.Generator().manual_seed(0)
    many = np.zeros(60, np.int64)
    for n_views in (1, 3):
        store.fill(n_views, seed=0, watch=Silent(), what="w")
        assert len({x.sum().item() for x in store.inputs(many, generator)}) == n_views
        assert len({x.sum().item() for x in store.inputs(many)}) == 1  # without chance it is the image as it is
    again = kept(layer, tmp_path, augment=True)
    again.fill(3, seed=0, watch=Silent(), what="w")  # at once or one by one: the same
    assert torch.equal(again.inputs(many, generator.manual_seed(1)), store.inputs(many, generator.manual_seed(1)))


def test_nothing_is_left_on_the_disk(layer: nn.Module, tmp_path: Path) -> None:
    store = kept(layer, tmp_path, augment=False)
    store.fill(1, seed=0, watch=Silent(), what="w")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_seen_before_anything_is_run(
    layer: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kept(layer, tmp_path, augment=False)
    assert store.fits()
    monkeypatch.setattr(sources, "DISK_SHARE", 1e-12)
    assert not store.fits()


def test_values_beyond_float16_stay_finite(tmp_path: Path) -> None:
    class Huge(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(1, 2, 3))[:, None] * 1e9

    store = kept(Huge(), tmp_path, augment=False)
    store.fill(1, seed=0, watch=Silent(), what="w")
    assert torch.isfinite(store.inputs(np.arange(70))).all()


def test_a_pass_keeps_the_order_and_learns_nothing(layer: nn.Module) -> None:
    source = pixels(augment=True)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    found = run_over(layer, source, machine=MACHINE, watch=Silent(), what="w")
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), layer(source.inputs(np.arange(70))))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
