"""Peak memory of evaluating a large test set: 1,000 images of 1024² by default, half defective.

    python benchmarks/evaluation_memory.py
    python benchmarks/evaluation_memory.py --images 50 --size 512 --model-size 256

It runs what the stage `evaluate` runs between a trained model and its files, on generated images
and with a detector that costs nothing: reading, scoring, the maps that wait, both passes at the
masks' resolution with AUPIMO, defect types and area quarters, and the heat maps. The last line is
one JSON object; `ratio` is the limit of 1.5 GiB / the peak.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from blemish.evaluation.evaluate import evaluate
from blemish.evaluation.heatmaps import write_heatmaps
from blemish.evaluation.scoring import score_images
from blemish.images.framing import Framing
from blemish.images.manifest import Facts, Manifest
from blemish.methods.detector import Detector, Measured

LIMIT = 1.5 * 2**30


class Brightness(Detector):
    """The map is how far a pixel is from grey; the score its maximum."""

    name = "brightness"

    def __init__(self, size: int) -> None:
        super().__init__(None, 0, Framing.square(size, "squash"))
        self.weight = nn.Parameter(torch.ones(1))

    def fit(self, *_: Any) -> None:
        """Nothing to learn."""

    def measure(self, images: Tensor) -> Measured:
        maps = (images.float().mean(dim=1) - 128).abs() / 128
        return Measured(maps, maps)


def make_unit(root: Path, count: int, size: int) -> Manifest:
    """Noisy grey images; every other one has 1 to 3 brighter rectangles, of four defect types."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        image = rng.normal(128, 12, (size, size)).clip(0, 255).astype(np.uint8)
        label, mask = number % 2, np.zeros((size, size), np.uint8)
        row = {"image": f"{number:04d}.png", "mask": None, "slice": "", "label": label}
        row["defect"] = f"type-{number // 2 % 4}" if label else "good"
        if label:
            for _ in range(rng.integers(1, 4)):
                top, left = rng.integers(0, size - 60, 2)
                mask[top : top + rng.integers(4, 60), left : left + rng.integers(4, 60)] = 255
            image = np.where(mask > 0, image // 2 + 110, image).astype(np.uint8)
            row["mask"] = f"{number:04d}_mask.png"
            cv2.imwrite(str(root / row["mask"]), mask)
        cv2.imwrite(str(root / row["image"]), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        rows.append(row | {"split": "test", "height": size, "width": size})
    return Manifest(pd.DataFrame(rows), Facts("made/up", "pixel"), root)


def everything(rows: pd.DataFrame) -> pd.Series:
    return rows["split"] == "test"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--model-size", type=int, default=1024)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        unit = make_unit(root, given.images, given.size)
        imported = peak()
        start = time.perf_counter()
        test = score_images(Brightness(given.model_size), unit, unit.rows, "test", root)
        evaluation = evaluate(test, headline=everything, masks="pixel", threshold=0.5)
        write_heatmaps(test, everything, (0.5, 0.5), root / "heatmaps")
        seconds = time.perf_counter() - start
    print(f"{given.images} images of {given.size}², model at {given.model_size}²: {seconds:.0f} s")
    print(f"peak before {imported / 2**20:.0f} MiB, in all {peak() / 2**20:.0f} MiB")
    figures = {
        "images": given.images, "size": given.size, "model_size": given.model_size,
        "peak_mib": round(peak() / 2**20), "ratio": round(LIMIT / peak(), 3),
        "seconds": round(seconds, 1), "pixel_auroc": evaluation.metrics["pixel_auroc"],
    }  # fmt: skip
    print(json.dumps(figures))


def peak() -> int:
    """The most memory this process has had so far, imports included, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
