"""Parts d and e: what a longer training buys. AUROC on the real test set, epoch by epoch.

The test set is looked at again and again: these curves say how fast a method learns on a device
and chooses nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from blemish.evaluation.scoring import score_images
from blemish.methods.detector import AnyDetector
from blemish.metrics.curves import auroc, rank
from blemish.metrics.histograms import PixelHistogram
from gpu_proof.loops import ALL_THREADS, OutOfTime, Watched, fit
from gpu_proof.record import Figures, Item
from gpu_proof.settings import HAS_WEIGHTS, detector_for, params_of, published, small
from gpu_proof.unit import NAME, Unit, quick_profile

ROW = ("epoch", "image_auroc", "pixel_auroc", "training_seconds")
# The published length and sizes, on the quick profile's features: their scale is another one than
# that of the published backbone, and so stay the settings that are measured in it.
LENGTH = {
    "image_size": 288, "hidden": 1024, "pool": None, "epochs": 640, "images_per_epoch": 392,
    "batch_size": 8, "ascent_steps": 20, "project_every": 5, "average_last": 1,
    "learning_rate": 1e-4, "memory": 0, "top_cells": 1,
}  # fmt: skip


class Learning:
    """Looks at the test set after some epochs of a training, the last one among them."""

    def __init__(self, unit: Unit, device: str, params: Any, method: str, end: float) -> None:
        self.unit, self.device, self.params, self.method, self.end = (
            unit, device, params, method, end,
        )  # fmt: skip
        self.rows: list[tuple[int, float, float, float]] = []
        self._looking = 0.0  # s

    def run(self) -> Figures:
        """Train until the end, of the epochs or of the time."""
        data = self.unit.open()
        detector = detector_for(self.method, self.params, data)
        self._begin = time.monotonic()
        loop = Watched(self.device, after_epoch=self.after, threads=ALL_THREADS)
        whole = fit(detector, data, loop)
        if whole:
            self.look(detector, self.params.epochs)
        best = max(self.rows, key=lambda row: row[1])
        return {
            "columns": list(ROW), "rows": [list(row) for row in self.rows],
            "epochs": self.rows[-1][0], "of": self.params.epochs,
            "last_image_auroc": self.rows[-1][1], "last_pixel_auroc": self.rows[-1][2],
            "best_image_auroc": best[1], "training_seconds": self.rows[-1][3],
        }  # fmt: skip

    def after(self, detector: AnyDetector, epoch: int) -> None:
        """Look after epochs 1, 2, 4, …, and before the time is over."""
        done = epoch + 1
        if done == self.params.epochs:  # what the method makes of the last ones is looked at
            return
        over = time.monotonic() >= self.end
        if over or done & (done - 1) == 0:
            self.look(detector, done)
        if over:
            raise OutOfTime

    def look(self, detector: AnyDetector, epoch: int) -> None:
        """The AUROCs of images, and of pixels as the method sees them; then training goes on."""
        begin = time.monotonic()
        seconds = begin - self._begin - self._looking
        manifest = self.unit.manifest()
        found = score_images(detector, manifest, manifest.of("test"), "test")
        pixels = PixelHistogram()
        for position in range(len(found.rows)):
            sample = found.sample(position, "model")
            pixels.count(sample.anomaly_map, sample.mask)
        images = rank(found.rows["label"].to_numpy(), found.scores)
        numbers = [float(auroc(each)) for each in (images, pixels.ranking())]
        self.rows.append((epoch, numbers[0], numbers[1], seconds))
        print(f"  epoch {epoch}: image {numbers[0]:.4f} pixel {numbers[1]:.4f}", flush=True)
        detector.train()
        self._looking += time.monotonic() - begin


@dataclass(frozen=True)
class LongGlass:
    """Part d: GLASS at its published length beside the quick profile."""

    unit: Unit
    device: str
    tiny: bool

    def items(self) -> Iterator[Item]:
        yield Item("glass, quick profile", self.quick)
        yield Item("glass, published length", self.long)

    def quick(self, end: float) -> Figures:
        return self.learn({}, end)

    def long(self, end: float) -> Figures:
        return self.learn(LENGTH, end)

    def learn(self, changes: dict[str, Any], end: float) -> Figures:
        if self.tiny:
            params = small("glass, memory", True)[1]
        else:
            shipped = quick_profile().method("glass", f"{NAME}/all").model_dump()
            weights = {} if HAS_WEIGHTS else {"weights": "random"}
            params = params_of("glass", shipped | changes | weights)
        return Learning(self.unit, self.device, params, "glass", end).run()


@dataclass(frozen=True)
class PublishedDsarad:
    """Part e: DSARAD at its published size, for as many of its epochs as the time allows."""

    unit: Unit
    device: str
    tiny: bool

    def items(self) -> Iterator[Item]:
        yield Item("dsarad, published size", self.learn)

    def learn(self, end: float) -> Figures:
        params = published("dsarad", self.tiny)
        return Learning(self.unit, self.device, params, "dsarad", end).run()
