from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from overread.cli import show


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    show.add_arguments(parser)
    return parser.parse_args(words)


def test_the_table_has_every_layer_and_the_total(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert show.run(parsed("resnet18")) == 0
    printed = capsys.readouterr().out
    for words in (
        "resnet18, 1000 classes, images of 224 x 224",
        "7x7 convolution, 64 filters, stride 2",
        "64 x 112 x 112",
        "9,408",
        "513,000",
        "11,689,512",
        "stem, layer1, layer2, layer3, layer4, head",
    ):
        assert words in printed
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 100


def test_classes_and_size_change_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show.run(parsed("resnet18", "--classes", "3", "--size-px", "512", "--json"))
    table = json.loads(capsys.readouterr().out)
    assert table["layers"][0]["output_shape"] == [64, 256, 256]
    assert table["layers"][-1]["parameters"] == 1_539


def test_its_example_is_one_that_it_takes() -> None:
    assert parsed(*show.EXAMPLE.split()[2:]).backbone == "resnet18"


def test_it_loads_nothing_heavy_until_it_runs() -> None:
    heavy = "{'torch', 'timm', 'rich'} & set(sys.modules)"
    code = f"import sys, overread.cli.show; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
