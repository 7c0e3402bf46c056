from __future__ import annotations

import argparse
import dataclasses
import typing
from typing import Any

import pytest

from overread.cli.flags import add_flags, given_flags
from overread.cli.main import make_parser
from overread.cli.train import make_job
from overread.data.cohort import CohortSettings
from overread.data.phantom import PhantomSettings
from overread.settings import ImageSettings, TrainSettings

KINDS = (TrainSettings, ImageSettings, CohortSettings, PhantomSettings)
TRAIN_KINDS = KINDS[:3]


def parser_of(kind: type[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_flags(parser, kind, title="settings")
    return parser


def an_answer(kind: type[Any], field: dataclasses.Field[Any]) -> tuple[list[str], Any]:
    """Words that set a field on the command line, and the value that they stand for."""
    name = "--" + field.name.replace("_", "-")
    if choices := field.metadata.get("choices"):
        return [name, choices[-1]], choices[-1]
    hint = typing.get_type_hints(kind)[field.name]
    if hint is bool:
        return [name], True
    value = {int: 7, float: 0.5}.get(hint, "words")
    return [name, str(value)], value


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_a_flag_with_a_sentence(kind: type[Any]) -> None:
    parser = parser_of(kind)
    printed = " ".join(parser.format_help().split())
    for field in dataclasses.fields(kind):
        assert "--" + field.name.replace("_", "-") in printed
        assert len(field.metadata["help"].split()) > 2
        assert " ".join(field.metadata["help"].split())[:20] in printed


@pytest.mark.parametrize("kind", KINDS)
def test_a_flag_that_is_not_given_sets_nothing(kind: type[Any]) -> None:
    assert given_flags(parser_of(kind).parse_args([]), kind) == {}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, field.name) for kind in KINDS for field in dataclasses.fields(kind)]
)
def test_a_flag_sets_its_field_in_its_type(kind: type[Any], name: str) -> None:
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    words, value = an_answer(kind, field)
    given = given_flags(parser_of(kind).parse_args(words), kind)
    assert given == {name: value}
    assert type(given[name]) is type(value)


def test_a_switch_can_be_turned_off() -> None:
    assert given_flags(parser_of(TrainSettings).parse_args(["--no-flip"]), TrainSettings) == {"flip": False}


def test_no_two_kinds_of_settings_share_a_flag() -> None:
    names = [field.name for kind in TRAIN_KINDS for field in dataclasses.fields(kind)]
    assert len(names) == len(set(names))


def test_a_recipe_fills_what_no_flag_has_set(tmp_path) -> None:
    parser, _ = make_parser("train")
    words = ["train", "scans", "--recipe", "paper", "--epochs", "3", "--window", "brain", "--label-column", "finding"]
    job = make_job(parser.parse_args(words), out=tmp_path)
    assert (job.train.optimizer, job.train.epochs, job.train.augment) == ("adam", 3, "none")
    assert job.image.window == "brain"
    assert job.cohort.label_column == "finding"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "0"], "--epochs 0 is out of range"),
        (["--batch-size", "1"], "--batch-size 1 is out of range"),
        (["--size-px", "8"], "--size-px 8 is out of range"),
        (["--seed", "-1"], "--seed -1 is out of range"),
        (["--learning-rate", "nan"], "--learning-rate nan is out of range"),
        (["--val-fraction", "0.5", "--test-fraction", "0.5"], "--val-fraction plus --test-fraction 1"),
        (["--optimizer", "sgd"], "--optimizer: invalid choice: 'sgd'"),
        (["--window", "lungs"], "--window lungs is not known"),
        (["--device", "tpu"], "--device tpu is not known"),
        (["--patient-regex", "("], "--patient-regex ( is no regular expression"),
        (["--freeze", "2", "--weights", "none"], "--freeze 2 keeps pretrained layers, but --weights none"),
        (["--workers", "-1"], "--workers -1 is out of range"),
        (["--seeds", "0"], "--seeds 0 is out of range"),
    ],
)
def test_a_bad_value_is_refused_in_the_words_of_the_command_line(words: list[str], said: str, refusal) -> None:
    assert said in refusal("train", "no-such-scans", *words)
