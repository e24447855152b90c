"""A detector whose numbers are known, and what the stage `evaluate` writes for it."""

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from blemish.images.framing import Framing, Resize
from blemish.methods.detector import Detector, Measured
from blemish.methods.loop import Loop
from blemish.methods.saved import save
from blemish.methods.scoring import score_each
from blemish.methods.training_data import TrainingUnit
from blemish.methods.view_params import ViewParams
from tests.models import new
from tests.units import NAME, Unit, evaluate_model, tiny_unit


class Params(ViewParams):
    """`level` 255 finds the painted defects, which are pure white; 256 finds nothing."""

    level: int = 255
    image_size: int = 96
    resize: Resize | Literal["auto"] = "squash"


class White(Detector):
    """A detector whose numbers are known: the map is where white begins, the score its maximum."""

    name = "white"

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        self.scale = nn.Parameter(torch.ones(1))

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Nothing to learn."""

    def measure(self, images: Tensor) -> Measured:
        above = (images.float().mean(dim=1) - 220).clamp(min=0) / 35
        maps = above * (self.params.level == 255)
        return Measured(maps, maps)

    def views(self, images: Tensor) -> dict[str, Tensor]:
        return {"as the network sees it": images, "negative": 255 - images[:, :, ::2, ::3]}


def model(folder: Path, unit: Unit | None = None, **params: Any) -> Path:
    """A saved detector with the scores of the unit's validation normals."""
    folder.mkdir(parents=True)
    detector = new("white", Params(**params))
    held_out = (unit or tiny_unit()).open()
    pictures, zones = held_out.pictures(detector.framing, "val"), held_out.zones(detector.framing)
    sizes, seen = held_out.sizes_of("val"), zones.of_normals() if zones else None
    save(detector, folder, NAME, score_each(detector, pictures, sizes, seen), zones=zones)
    return folder


def results(
    tmp_path: Path, unit: Unit | None = None, evaluation: Any = None, **params: Any
) -> Path:
    unit = unit or tiny_unit()
    number = len(list(tmp_path.iterdir()))
    at = model(tmp_path / f"model-{number}", unit, **params)
    return evaluate_model(unit, at, tmp_path / f"results-{number}", **(evaluation or {}))


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def scores_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "scores.parquet")


IMAGE = {"image_auroc", "image_ap", "image_f1max", "image_fpr95"}
PIXEL = {"pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_fpr95", "pixel_aupro", "pixel_aupimo"}
SHORT = {"image_auroc", "pixel_auroc", "pixel_aupro", "pixel_aupimo"}
