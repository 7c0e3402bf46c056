"""What a heatmap costs: class maps from the prediction's own pass, beside Grad-CAM by pytorch-grad-cam.

One ResNet-18 with random weights (the time does not depend on them), written as `model.onnx` as every training does,
and the same network in torch. In an order drawn anew each round, on the same images: the prediction alone; the
prediction with its class maps; and the prediction with the map of the answer, brought to the image's pixels, on both
sides. Medians of all rounds, and the medians of the ratios within a round.

Seconds of the processor, one thread each: on a busy machine torch's threads wait for each other, and by the clock
Grad-CAM then took about 40 times as long, where it computes for about 4 times as long. `--clock` has each library's
own number of threads and the time on the wall, which is worth reading on an idle machine alone.

    python benchmarks/explain_speed.py
    python benchmarks/explain_speed.py --batch 16 --rounds 20
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pytorch_grad_cam import GradCAM

from overread.data.placing import onto_image, place
from overread.explain.where import evidence_for
from overread.model.backbones import create
from overread.model.export import export_onnx
from overread.model.session import open_session
from overread.run.job import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--clock", action="store_true", help="time on the wall, each library's own threads")
    args = parser.parse_args()
    if not args.clock:
        torch.set_num_threads(1)
    network = create(args.backbone, 3, seed=0).eval()
    images = torch.randn(args.batch, 3, args.size_px, args.size_px, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(network, path, size_px=args.size_px)
        session = open_session(path.read_bytes(), name=path.name, threads=0 if args.clock else 1)
    inputs = images.numpy()
    placing = place(args.size_px, args.size_px, side_px=args.size_px, fit="squash")

    def alone() -> None:
        session.run(["logits", "features"], inputs)

    def with_maps() -> None:
        session.run(["logits", "features", "class_maps"], inputs)

    def with_heatmap() -> None:
        logits, _, maps = session.run(["logits", "features", "class_maps"], inputs)
        for answer, one in zip(np.argmax(logits, axis=1).tolist(), maps, strict=True):
            onto_image(evidence_for(one, answer), placing)

    cam = GradCAM(model=network, target_layers=[network.layer4[-1]])

    def grad_cam() -> None:
        cam(input_tensor=images, targets=None)  # of the likeliest class; its outputs hold the prediction

    jobs: dict[str, Callable[[], None]] = {
        "prediction alone": alone,
        "with class maps": with_maps,
        "with a heatmap in the image's pixels": with_heatmap,
        "pytorch-grad-cam": grad_cam,
    }
    times = measure(jobs, args.rounds, clock=time.perf_counter if args.clock else time.process_time)
    how = "time on the wall, each library's own threads" if args.clock else "processor time, one thread each"
    print(machine())
    print(f"{args.backbone}, {args.size_px} px, {args.batch} at a time, {args.rounds} rounds, {how}")
    for name, seconds in times.items():
        print(f"{name:<40}{1000 * np.median(seconds):8.1f} ms")
    first = times["prediction alone"]
    for name in ("with class maps", "with a heatmap in the image's pixels"):
        print(f"{name} / prediction alone: {np.median(times[name] / first):.3f} (wanted: at most 1.1)")
    ratio = times["pytorch-grad-cam"] / times["with a heatmap in the image's pixels"]
    print(f"pytorch-grad-cam / with a heatmap: {np.median(ratio):.1f} (wanted: at least 5)")


def measure(jobs: dict[str, Callable[[], None]], rounds: int, *, clock: Callable[[], float]) -> dict[str, np.ndarray]:
    """Seconds of each job in each round; none always follows the same other, whose threads may still spin."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    order = np.random.default_rng(0)
    for number in range(rounds + 3):
        for name in order.permutation(list(jobs)).tolist():
            began = clock()
            jobs[name]()
            if number >= 3:  # the first ones warm up
                found[name].append(clock() - began)
    return {name: np.array(seconds) for name, seconds in found.items()}


if __name__ == "__main__":
    main()
