"""`overread serve` and `overread node` under SIGKILL: killed at random moments, and what they leave is proved.

Four parts share the kills: uploads over REST, predictions (all images wait, none comes), and a node that takes images
by C-STORE and sends results to a real Orthanc, over DICOMweb and by C-STORE. After each part the process is started
once more, and it is proved that all that was acknowledged is there; that each image has one answer, and the trail
tells of it once; that each result came to the PACS once, counted where it comes in; and that `overread store verify`
finds no fault. Printed: kills, what was acknowledged, and in how many kills work was under way.

    python benchmarks/serve_faults.py MODEL DICOM-FOLDER --kills 100 --seed 0
    python benchmarks/serve_faults.py MODEL DICOM-FOLDER --kills 25 --parts uploads
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.serve.killing import Killed, copies, kill_node, kill_predictions, kill_service

from overread.run.job import machine, versions

PARTS = {"uploads": 100, "predictions": 12, "sends-web": 12, "sends-dimse": 12}
"""images of each kill: so many that there are new ones until the last"""


def run(part: str, model: Path, slices: list[Path], folder: Path, *, n_kills: int, rng: random.Random) -> Killed:
    """Kill in one part."""
    folder.mkdir()
    store = folder / "store"
    files = copies(slices, folder, PARTS[part] * n_kills)
    if part == "uploads":
        return kill_service(model, files, store, n_kills=n_kills, rng=rng)
    if part == "predictions":
        return kill_predictions(model, files, store, n_kills=n_kills, rng=rng)
    way = "by_web" if part == "sends-web" else "by_dimse"
    return kill_node(model, files, store, n_kills=n_kills, rng=rng, way=way)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    print(f"{machine()}\n{versions()}")
    slices = sorted(args.images.rglob("*.dcm"))[:40]
    with tempfile.TemporaryDirectory() as temporary:
        for number, part in enumerate(args.parts):
            n_kills = args.kills // len(args.parts) + (number < args.kills % len(args.parts))
            began, rng = time.monotonic(), random.Random(f"{args.seed} {part}")
            folder = Path(temporary) / part
            killed = run(part, args.model, slices, folder, n_kills=n_kills, rng=rng)
            words = [sys.executable, "-m", "overread", "store", "verify", "--store", str(folder / "store")]
            proof = subprocess.run(words, capture_output=True, text=True)
            sends = f", a result was on its way at {sum(n > 0 for n in killed.n_sending)}" if "sends" in part else ""
            print(
                f"{part}, seed {args.seed}: {n_kills} kills in {time.monotonic() - began:.0f} s; "
                f"{len(killed.acknowledged)} images acknowledged, all there, answered once; images waited at "
                f"{sum(n > 0 for n in killed.n_waiting)} kills{sends}; "
                f"store verify: exit code {proof.returncode}",
                flush=True,
            )
            if proof.returncode:
                sys.exit(proof.stdout + proof.stderr)


if __name__ == "__main__":
    main()
