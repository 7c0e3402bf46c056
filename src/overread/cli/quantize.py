"""`overread quantize`: a model that computes in 8-bit integers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from overread.cli.train import add_workers, check_workers, n_workers

if TYPE_CHECKING:
    from overread.run.quantize import Quantized

ABOUT = """\
Writes a second model folder whose network computes in 8-bit integers: a
quarter of the size, and on processors with instructions for it (VNNI, since
about 2019) two to four times as fast. The ranges of its layers are taken from
training images. Everything is measured again on that network, and it has a
report of its own. Refused where too much AUROC is lost in validation."""
EXAMPLE = """\
overread quantize runs/first                       # writes runs/first-int8
overread quantize runs/first --out runs/small --lose-at-most 0.005"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument("--out", type=Path, help="the folder to write (default: MODEL-int8)")
    parser.add_argument(
        "--lose-at-most", type=float, default=0.01, metavar="AUROC", help="in validation (default: %(default)s)"
    )
    parser.add_argument(
        "--images", type=int, default=128, metavar="N", help="training images for the ranges (default: %(default)s)"
    )
    add_workers(parser)


def run(args: argparse.Namespace) -> int:
    """Quantise, and print what it costs and brings."""
    check_workers(args)
    from overread.cli.console import ConsoleWatcher, loading_torch

    with loading_torch():
        from overread.run.quantize import Quantization, quantize_model

    model = args.model if args.model.name else args.model.absolute()
    asked = Quantization(
        model=model,
        out=args.out or model.parent / f"{model.name}-int8",
        lose_at_most=args.lose_at_most,
        n_images=args.images,
        workers=n_workers(args),
    )
    with ConsoleWatcher() as watch:
        done = quantize_model(asked, watch=watch)
        watch.mark(done.outcome.card.marks)
        for sentence in _told(done):
            watch.say(sentence)
        watch.say(f"Written: {done.outcome.folder}, with the report of this network.")
    return 0


def _told(done: Quantized) -> list[str]:
    lost, (before, after), (larger, smaller) = done.lost, done.images_per_second, done.n_bytes
    patients = "" if lost.n_patients is None else f" of {lost.n_patients} patients"
    return [
        f"AUROC in validation: {done.auroc_before:.3f} before, {done.auroc_before - lost.value:.3f} in 8 bits; lost "
        f"{lost.value:.3f} (95% {lost.low:.3f} to {lost.high:.3f}; {lost.n_images} images{patients}).",
        f"model.onnx: {larger / 1e6:.1f} MB before, {smaller / 1e6:.1f} MB now.",
        f"The network alone on this machine: {before:.0f} images a second before, {after:.0f} now "
        f"({after / before:.1f} times).",
    ]
