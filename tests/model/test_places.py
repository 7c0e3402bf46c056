from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from overread.model.internet import Internet
from overread.model.places import PACKAGES, AbsentError, places


def test_places_are_tried_in_the_order_that_is_promised() -> None:
    names = [name for name, _ in places("resnet18", Internet())]
    assert names == ["the hub's cache", "torch's cache", "the hub", "an installed package"]


def test_a_network_that_no_hub_has_is_absent_with_a_reason(cut_off: Path) -> None:
    look = dict(places("alexnet", Internet()))["the hub's cache"]
    with pytest.raises(AbsentError, match="the hub has no alexnet"):
        look()


def test_a_package_that_lost_its_file_is_told(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "files", lambda _: [])
    look = dict(places("tf_efficientnet_lite0", Internet()))["an installed package"]
    with pytest.raises(AbsentError, match="has lost its weights"):
        look()


def test_the_package_is_one_that_training_depends_on() -> None:
    requires = importlib.metadata.requires("overread") or []
    assert all(any(line.startswith(package) for line in requires) for package in PACKAGES.values())
