from __future__ import annotations

import pytest

from overread.errors import SettingsError
from overread.settings import (
    RECIPES,
    ImageSettings,
    TrainSettings,
    from_dict,
    parse_window,
    recipe_settings,
)


def test_the_paper_recipe_is_what_the_paper_prints() -> None:
    paper = recipe_settings("paper")
    assert (paper.optimizer, paper.epochs, paper.schedule) == ("adam", 10, "constant")
    assert (paper.augment, paper.label_smoothing, paper.class_weights, paper.freeze) == (
        "none",
        0.0,
        False,
        0,
    )
    assert (paper.val_fraction, paper.test_fraction, paper.select) == (0.1, 0.1, "val_accuracy")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_makes_settings_and_a_flag_overrides_it(recipe: str) -> None:
    assert recipe_settings(recipe, epochs=3).epochs == 3


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"epochs": 0}, "--epochs"),
        ({"batch_size": 1}, "--batch-size"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"seed": -1}, "--seed"),
        ({"optimizer": "sgd"}, "adam, adamw"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "--test-fraction"),
        ({"weights": "none", "freeze": 2}, "--freeze 2"),
        ({"device": "tpu"}, "--device tpu"),
    ],
)
def test_an_impossible_setting_dies_in_the_words_of_the_command_line(values: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        TrainSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lung", (-600.0, 1500.0)),
        ("40/80", (40.0, 80.0)),
        ("-600/1500", (-600.0, 1500.0)),
        ("37.5/75", (37.5, 75.0)),
    ],
)
def test_a_window_has_a_name_or_a_centre_and_a_width(text: str, expected: tuple[float, float]) -> None:
    assert parse_window(text) == expected


@pytest.mark.parametrize("text", ["liver", "40/0", "40/-80", "40", "", "40/80/1"])
def test_an_unknown_window_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(SettingsError, match="subdural"):
        parse_window(text)


def test_three_windows_become_three_channels_and_two_are_refused() -> None:
    assert ImageSettings(window="brain, subdural,bone").windows_hu() == ((40, 80), (75, 215), (600, 2800))
    assert ImageSettings(window="header").windows_hu() == ()
    with pytest.raises(SettingsError, match="one window or three"):
        ImageSettings(window="brain,bone")


def test_settings_from_a_file_may_not_bring_fields_of_their_own() -> None:
    assert from_dict(ImageSettings, {"size_px": 64}) == ImageSettings(size_px=64)
    with pytest.raises(SettingsError, match="colour"):
        from_dict(ImageSettings, {"colour": "blue"})
