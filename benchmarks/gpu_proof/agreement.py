"""Part a: a GPU's numbers are the CPU's.

Every method is trained for a few steps on both, from the same random numbers, and the model that
the CPU trained scores the same images on both; every kind of defect is drawn on both. In float32
without TF32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blemish.evaluation.predictions import Predictions
from blemish.evaluation.scoring import score_images
from blemish.images.framing import Framing
from blemish.images.store import decoded
from blemish.methods.detector import AnyDetector
from blemish.methods.scoring import views_of
from blemish.methods.training_data import TrainingUnit
from blemish.nn.backbones import Backbone
from blemish.nn.fold import fold_normalisation
from blemish.synthesis.kinds import TRAINED, UNTRAINED
from blemish.synthesis.recipes import draw_recipes
from blemish.synthesis.render import render
from gpu_proof.loops import ALL_THREADS, SameDraws, Watched, fit
from gpu_proof.record import Figures, Item
from gpu_proof.settings import SMALL, detector_for, products, small
from gpu_proof.unit import Unit, quick_profile

FIRST_STEPS = 3
LOSS_BOUND, SCORE_BOUND, GREY_BOUND = 1e-4, 1e-3, 1.0
IMAGES, SIDE = 16, 256
WITHOUT_PICTURES = {"crops"}  # kinds that need files of the user's


class Trained(NamedTuple):
    detector: AnyDetector
    losses: list[dict[str, Tensor]]


@dataclass(frozen=True)
class Agreement:
    """Part a on a unit."""

    unit: Unit
    device: str
    tiny: bool

    def items(self) -> Iterator[Item]:
        data = self.unit.open()
        yield Item("rendering", lambda _: self.rendering(data))
        yield Item("folding", lambda _: self.folding())
        for case in SMALL:
            yield Item(case, lambda _, case=case: self.method(case, data))

    def method(self, case: str, data: TrainingUnit) -> Figures:
        """Differences of losses and scores between the CPU and the device."""
        with products(tf32=False), SameDraws():
            here, there = (self.train(case, data, device) for device in ("cpu", self.device))
            own, trained_there = self.scores(here.detector), self.scores(there.detector)
            moved = self.scores(self.moved(case, data, here.detector))
        figures = {
            "loss_difference": loss_difference(here.losses, there.losses),
            "score_difference": apart(own.scores, moved.scores),
            "map_difference": apart(values_of(own), values_of(moved)),
        }
        bounds = (LOSS_BOUND, SCORE_BOUND, SCORE_BOUND)
        within = all(value <= bound for value, bound in zip(figures.values(), bounds, strict=True))
        changed = apart(own.scores, trained_there.scores)
        return figures | {"scores_if_trained_there": changed, "within": within}

    def train(self, case: str, data: TrainingUnit, device: str) -> Trained:
        method, params = small(case, self.tiny)
        detector = detector_for(method, params, data)
        loop = Watched(device, threads=1 if self.tiny else ALL_THREADS)
        fit(detector, data, loop)
        return Trained(detector, loop.losses)

    def moved(self, case: str, data: TrainingUnit, trained: AnyDetector) -> AnyDetector:
        """What the CPU trained, on the device, as a file would bring it there."""
        method, params = small(case, self.tiny)
        detector = detector_for(method, params, data)
        detector.load_state_dict({k: v.cpu() for k, v in trained.state_dict().items()})
        return detector.to(self.device).eval()

    def scores(self, detector: AnyDetector) -> Predictions:
        """Of some test images; the pictures that explain one of them are made, too."""
        manifest = self.unit.manifest()
        rows = manifest.of("test")
        rows = rows.iloc[:: max(1, len(rows) // IMAGES)].reset_index(drop=True)
        first = next(decoded([manifest.root / rows["image"][0]], detector.framing))
        views_of(detector, torch.from_numpy(first))
        return score_images(detector, manifest, rows, "test")

    def rendering(self, data: TrainingUnit) -> Figures:
        """Grey levels between pictures drawn on both, and pixels of masks that differ."""
        side = SIDE // 4 if self.tiny else SIDE
        images = data.normals(Framing.square(side, "squash"))[:4]
        levels: dict[str, float] = {}
        pixels = 0
        for kind in sorted({*TRAINED, *UNTRAINED} - WITHOUT_PICTURES):
            recipes = self.recipes(kind, data)
            drawn = [render(recipes, images.to(d), data.textures, 8) for d in ("cpu", self.device)]
            (here, mask), (there, other) = drawn
            levels[kind] = float((here - there.cpu()).abs().max() * 255)
            pixels += int((mask != other.cpu()).sum())
        worst = max(levels, key=lambda kind: levels[kind])
        within = levels[worst] <= GREY_BOUND and not pixels
        return {
            "grey_levels": levels[worst], "worst_kind": worst, "mask_pixels": pixels,
            "kinds": len(levels), "within": within,
        }  # fmt: skip

    def folding(self) -> Figures:
        """Whether a backbone's normalisations become part of its convolutions on the device.

        Folding is given up where the folded network's numbers are others; TF32 may make them so.
        """
        names = ["efficientnet_lite0"] + ([] if self.tiny else ["wide_resnet50_2"])
        figures: Figures = {}
        for name, tf32 in product(names, (False, True)):
            backbone = Backbone(name, [8, 16], "random").to(self.device)
            image = torch.ones(1, 3, 64, 64, device=self.device)
            with products(tf32):
                folded = fold_normalisation(backbone.network, image) is not backbone.network
            figures[f"{name}_{'tf32' if tf32 else 'float32'}"] = folded
        return figures | {"within": all(figures[f"{name}_float32"] for name in names)}

    def recipes(self, kind: str, data: TrainingUnit) -> Any:
        names = data.manifest.of("train", 0)["image"].tolist()[:4]
        synthesis = quick_profile().synthesis
        textures, own = data.textures.names, {"self": names}
        return draw_recipes(
            names, [0] * len(names), "train", kind, textures, synthesis, sources=own
        )


def loss_difference(here: list[dict[str, Tensor]], there: list[dict[str, Tensor]]) -> float:
    """The largest relative difference of any loss in the first steps."""
    pairs = [
        (float(ours[name]), float(theirs[name]))
        for ours, theirs in zip(here[:FIRST_STEPS], there[:FIRST_STEPS], strict=True)
        for name in ours
    ]
    return max(abs(a - b) / max(abs(a), 1e-12) if a != b else 0.0 for a, b in pairs)


def apart(here: NDArray[np.floating], there: NDArray[np.floating]) -> float:
    """The largest difference, as a share of the range of the first."""
    difference = float(np.abs(here.astype(float) - there).max())
    return difference / max(float(np.ptp(here)), 1e-12) if difference else 0.0


def values_of(predictions: Predictions) -> NDArray[np.floating]:
    """All pixels of all maps."""
    return np.concatenate([np.ravel(each) for each in predictions.maps])
