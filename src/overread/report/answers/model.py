"""Answers on the model: what it is, how it was trained, and how a prediction comes about."""

from __future__ import annotations

from overread.model import bundle
from overread.report.answers.answer import Answer, counted, joined, known
from overread.report.answers.data import preparation
from overread.report.known import PARTS, Known
from overread.settings import TrainSettings

AUGMENTATION = {"rotation": 15, "scale": 1.35, "shift": 4, "contrast": 1.28, "brightness": 12, "gamma": 1.35}
"""how far training images are changed at most: degrees, factor, % of the width, factor, % of the range, power"""
_SELECTED = {
    "val_loss": "the lowest loss",
    "val_accuracy": "the highest accuracy",
    "val_auroc": "the highest AUROC",
}
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow", "pydicom", "onnxruntime")


def technology(run: Known) -> Answer:
    """What kind of AI it is."""
    begin = "trained from random weights" if _from_nothing(run) else "fine-tuned from pretrained weights"
    return known(
        f"A deep neural network ({run.card.backbone}), {begin}, that classifies single images as "
        f"{joined(run.card.classes, 'or')}."
    )


def _from_nothing(run: Known) -> bool:
    return run.record.train.weights == "none"


def intended_use(run: Known) -> Answer:
    """What the model folder says that the model is for."""
    return known(f"The model folder says: {run.card.intended_use}")


def goal(run: Known) -> Answer:
    """What the run is."""
    return known(
        "This run develops a model (training and choice of the best epoch), and evaluates it once on a test part of "
        f"the same list of images. The task: to classify single images as {joined(run.card.classes, 'or')}."
    )


def architecture(run: Known) -> Answer:
    """Input, network, output."""
    side, n, train = run.card.image.size_px, len(run.card.classes), run.record.train
    library = f" as timm {run.card.versions['timm']} defines it" if _of_timm(run) else ""
    frozen = f"The first {counted(train.freeze, 'stage')} kept the pretrained weights." if train.freeze else ""
    return known(
        f"{run.card.backbone}{library}, with a last linear layer for {n} classes. Input: one image of {side} x "
        f"{side} pixels, 3 channels. Output: a logit for each class ({joined(run.card.classes)}), made probabilities "
        "by the softmax function.",
        frozen,
        f"Every layer, its shape and its parameters: overread show {run.card.backbone} --classes {n} "
        f"--size-px {side}; the network itself is {bundle.NETWORK}.",
    )


def _of_timm(run: Known) -> bool:
    return run.card.backbone != "alexnet" and "timm" in run.card.versions


def predictors(run: Known) -> Answer:
    """What the model sees."""
    return known(
        "The only predictor is the image itself; no clinical variable is used. The network is given all pixels, and "
        "no features were chosen before it was built."
    )


def measured_predictors(run: Known) -> Answer:
    """The image, and how it was prepared."""
    return known("The predictors are the pixels of one image.", *preparation(run).known)


def software(run: Known) -> Answer:
    """Libraries with their versions, and the machine."""
    versions, machine = run.record.versions, run.record.machine
    python = f"Python {versions.get('python', 'of unknown version')}"
    libraries = [f"{name} {versions[name]}" for name in _LIBRARIES if name in versions]
    gpu = machine.get("gpu") or "no GPU"
    return known(
        f"{', '.join([_program(run), python, *libraries])}.",
        f"Trained on {machine.get('system')} ({machine.get('processor')}, {machine.get('cores')} cores), {gpu}.",
    )


def _program(run: Known) -> str:
    commit = f" (commit {run.record.git_commit})" if run.record.git_commit else ""
    return f"overread {run.record.versions.get('overread', 'of unknown version')}{commit}"


def code(run: Known) -> Answer:
    """The program that made the analysis."""
    return known(
        f"Training and analysis were made by {_program(run)}, open source under Apache-2.0. Its record of this run "
        "is training.json, from which overread replay trains again."
    )


def initial(run: Known) -> Answer:
    """Where training began."""
    seed = run.record.train.seed
    if _from_nothing(run):
        return known(f"Every layer began with random weights, drawn with seed {seed}.")
    sha256 = run.record.found.get("weights_sha256")
    return known(
        f"Pretrained weights from {run.card.weights_source}{f', SHA-256 {sha256}' if sha256 else ''}.",
        f"The last layer was new, and began with random weights drawn with seed {seed}.",
    )


def training(run: Known) -> Answer:
    """Every setting of the training."""
    train = run.record.train
    return known(
        f"{'Adam' if train.optimizer == 'adam' else 'AdamW'} with batches of {train.batch_size} images for "
        f"{counted(train.epochs, 'epoch')}{_stopped(train)}; weight decay {train.weight_decay:g} (none on biases and "
        "normalisation).",
        _rates(train),
        f"Loss: cross-entropy, label smoothing {train.label_smoothing:g}, "
        f"{'classes weighed by their rarity' if train.class_weights else 'classes not weighed'}.",
        _augmentation(train),
        f"Seed {train.seed} fixes the division, the new layer, the order of the images and the augmentation. Losses "
        "and accuracies of every epoch are in history.csv and figures/learning-curves.",
    )


def _stopped(train: TrainSettings) -> str:
    return f", or until {counted(train.patience, 'epoch')} brought nothing better" if train.patience else ""


def _rates(train: TrainSettings) -> str:
    later = {"cosine": "falling to zero along a cosine", "constant": "constant"}[train.schedule]
    warm = f"a linear climb over the first {train.warmup:.0%} of the steps, then {later}" if train.warmup else later
    head = "the same" if train.head_rate == 1 else f"{train.head_rate:g} times that"
    decay = "" if train.stage_decay == 1 else f", each earlier stage {train.stage_decay:g} times the next one's"
    return f"Learning rate {train.learning_rate:g}{decay}, {head} for the last layer; {warm}."


def _augmentation(train: TrainSettings) -> str:
    mirrored = "mirrored at random" if train.flip else "never mirrored"
    if train.augment == "none":
        return "Training images were not augmented."
    a = AUGMENTATION
    return (
        f"Training images were changed at random in each epoch: rotation up to {a['rotation']} degrees, scale up to "
        f"{a['scale']}, shift up to {a['shift']} % of the width, contrast up to {a['contrast']}, brightness up to "
        f"{a['brightness']} % of the range, gamma up to {a['gamma']}; {mirrored}."
    )


def selection(run: Known) -> Answer:
    """Which epoch was kept."""
    train = run.record.train
    return known(
        f"After each epoch the network was tried on the {PARTS['val']} part; the weights of the epoch with "
        f"{_SELECTED[train.select]} there were kept: epoch {run.card.best_epoch} of {train.epochs}. The test part "
        "had no say."
    )


def building(run: Known) -> Answer:
    """All steps, in their order."""
    steps = (architecture, initial, training, selection)
    return known(*(sentence for step in steps for sentence in step(run).known))


def ensemble(run: Known) -> Answer:
    """There is none: a model folder holds one network."""
    return known("None: the model is a single network with one set of weights.")


def output(run: Known) -> Answer:
    """Probabilities, the class that is named, and when none is."""
    caution = run.card.caution
    sets = f"A prediction also names a set of classes. The sets {caution.sets_why}." if caution.thresholds else ""
    points = run.evaluated.thresholds if run.evaluated else ()
    named = [
        f"{one.label} {one.value:.3f} ({one.rule}, chosen on the {PARTS.get(one.chosen_on, one.chosen_on)} part)"
        for one in points
    ]
    return known(
        f"A probability for each of the {len(run.card.classes)} classes; they sum to 1. The class with the highest "
        "is named, so there is no threshold.",
        f"Temperature of the probabilities: {caution.temperature:.3g} ({caution.temperature_why}).",
        sets,
        f"Thresholds for one class against the rest, beside that: {'; '.join(named)}." if named else "",
    )


def calculation(run: Known) -> Answer:
    """How the predictions of the test part were made."""
    return known(
        "The network of the best epoch was given each image once, prepared as in training and without augmentation. "
        f"The softmax of its logits, divided by the temperature {run.card.caution.temperature:.3g}, are the "
        "probabilities. Every prediction is in predictions.csv.",
        f"{bundle.NETWORK} is the same network; overread predict repeats preparation and prediction.",
    )


def specification(run: Known) -> Answer:
    """The files that are the model."""
    files = [f"{name} (SHA-256 {run.card.files[name]})" for name in _model_files(run)]
    return known(
        f"The model folder holds the whole model: {joined(files)}. model.json says how images are prepared.",
        "overread predict MODEL FILES predicts with it.",
    )


def _model_files(run: Known) -> list[str]:
    return [name for name in (bundle.NETWORK, bundle.WEIGHTS) if name in run.card.files]


def details(run: Known) -> Answer:
    """What the model folder tells beyond a manuscript."""
    return known(
        "The model folder holds every setting (training.json), every epoch (history.csv), the part of each image "
        "(split.csv) and every prediction (predictions.csv); overread replay trains again from it and compares bit "
        "for bit."
    )


def availability(run: Known) -> Answer:
    """What could be given away, and what is open already."""
    return known(*code(run).known, f"The trained model: {joined(_model_files(run))} in the model folder.")


def poor_input(run: Known) -> Answer:
    """What a prediction does with an image that it should not judge."""
    caution = run.card.caution
    far = (
        f"An image too unlike the training images is named no class: {caution.far_why}."
        if caution.farthest is not None
        else "No limit was fitted beyond which an image is too unlike the training images, so such an image gets a "
        f"class like any other ({caution.far_why})."
    )
    return known("A file that cannot be read as an image gets no prediction, and the reason is told.", far)


def interaction(run: Known) -> Answer:
    """What a user does."""
    return known(
        "The user gives image files; nothing is drawn, marked or measured by hand, and overread prepares the images "
        "itself. Which images are given is the user's choice."
    )
