from __future__ import annotations

import math

import pytest

from overread.model.caution import Caution
from overread.report.answers.model import AUGMENTATION
from overread.settings import RECIPES


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"batch_size": 24, "epochs": 9}, "AdamW with batches of 24 images for 9 epochs;"),
        ({"optimizer": "adam", "weight_decay": 0.0}, "Adam with batches"),
        ({"patience": 3}, "or until 3 epochs brought nothing better"),
        (
            {"learning_rate": 0.002, "head_rate": 5.0},
            "Learning rate 0.002, 5 times that for the last layer;",
        ),
        ({"stage_decay": 0.5}, "each earlier stage 0.5 times the next one's"),
        ({"warmup": 0.25}, "a linear climb over the first 25% of the steps, then falling to zero along a cosine"),
        (RECIPES["paper"], "Learning rate 0.001, the same for the last layer; constant."),
        (RECIPES["paper"], "Training images were not augmented."),
        ({"label_smoothing": 0.25}, "label smoothing 0.25, classes not weighed"),
        ({"class_weights": True}, "classes weighed by their rarity"),
        ({"flip": True}, "mirrored at random"),
        ({"seed": 41}, "Seed 41 fixes"),
    ],
)
def test_training_is_told_as_it_was_set(train, said: str, answered) -> None:
    known, add = answered("claim", "25", train=train)
    assert said in known
    assert add == ""


def test_the_augmentation_that_is_told_is_the_one_that_is_done() -> None:
    from overread.training import batches

    done = {
        "rotation": batches.ROTATION_DEGREES,
        "scale": math.exp(batches.SCALE_LOG),
        "shift": 100 * batches.SHIFT_SHARE / 2,  # of a width that runs from -1 to 1
        "contrast": math.exp(batches.CONTRAST_LOG),
        "brightness": 100 * batches.BRIGHTNESS,
        "gamma": math.exp(batches.GAMMA_LOG),
    }
    assert pytest.approx(done, abs=0.005) == AUGMENTATION


@pytest.mark.parametrize(
    ("select", "said"),
    [("val_loss", "the lowest loss"), ("val_accuracy", "the highest accuracy"), ("val_auroc", "the highest AUROC")],
)
def test_the_choice_of_the_epoch_is_told_and_other_runs_are_asked_for(select: str, said: str, answered) -> None:
    known, add = answered("claim", "26", train={"select": select, "epochs": 12}, best_epoch=5)
    assert f"the weights of the epoch with {said} there were kept: epoch 5 of 12" in known
    assert "other runs" in add


def test_pretrained_weights_are_told_with_their_hash(answered) -> None:
    known, _ = answered("claim", "24")
    assert f"Pretrained weights from the hub's cache, SHA-256 {'ab' * 32}." in known
    assert "drawn with seed 7" in known


def test_random_weights_are_not_called_pretrained(answered) -> None:
    changes = {"train": {"weights": "none"}, "found": {"weights_sha256": None}}
    known, _ = answered("claim", "24", **changes)
    assert known == "Every layer began with random weights, drawn with seed 7."


def test_a_network_from_nothing_is_not_called_fine_tuned(answered) -> None:
    known, _ = answered("claim", "1", train={"weights": "none"})
    assert known == (
        "A deep neural network (resnet18), trained from random weights, that classifies single images as aneurysm or "
        "tumor."
    )


def test_the_network_is_told_so_that_it_can_be_built_again(answered) -> None:
    known, add = answered("claim", "22", train={"freeze": 2})
    assert "resnet18 as timm 1.0.9 defines it, with a last linear layer for 2 classes" in known
    assert "one image of 224 x 224 pixels" in known
    assert "The first 2 stages kept the pretrained weights." in known
    assert "overread show resnet18 --classes 2 --size-px 224" in known
    assert add == ""


def test_a_network_of_overread_is_not_called_timms(answered) -> None:
    assert "timm" not in answered("claim", "22", backbone="alexnet")[0]


def test_software_and_machine_are_those_of_the_run(answered) -> None:
    known, _ = answered("claim", "23")
    assert known == "overread 0.1.0, Python 3.11.7, torch 2.4.0. Trained on Linux (x86_64, 2 cores), no GPU."


def test_the_intended_use_is_quoted_and_not_widened(answered) -> None:
    known, add = answered("claim", "41", intended_use="Research use on knees.")
    assert known == "The model folder says: Research use on knees."
    assert add != ""


def test_the_output_tells_temperature_sets_and_thresholds(answered) -> None:
    caution = Caution(
        temperature=1.25, temperature_why="fitted on 40 patients", thresholds=(0.5, 0.5), sets_why="hold 90%"
    )
    known, _ = answered("tripod", "15", caution=caution, evaluated=True)
    assert "A probability for each of the 2 classes" in known
    assert "Temperature of the probabilities: 1.25 (fitted on 40 patients)." in known
    assert "The sets hold 90%." in known
    assert "tumor 0.438 (Youden, chosen on the tuning (validation) part)" in known


def test_no_sets_are_promised_where_there_are_none(answered) -> None:
    assert "set" not in answered("tripod", "15")[0]


@pytest.mark.parametrize(
    ("farthest", "said"), [(12.5, "is named no class: at most 5%"), (None, "gets a class like any other (at most 5%")]
)
def test_poor_input_is_told_as_the_model_treats_it(farthest, said: str, answered) -> None:
    caution = Caution(farthest=farthest, far_why="at most 5% of images like these")
    assert said in answered("tripod", "27a", caution=caution)[0]
