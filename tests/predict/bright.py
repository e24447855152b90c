"""A detector of brightness, images for it, and the command that judges them."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from blemish.commands.app import app
from blemish.images.framing import Framing, Resize
from blemish.methods.detector import Detector, Measured
from blemish.methods.loop import Loop
from blemish.methods.saved import save
from blemish.methods.scoring import Scored
from blemish.methods.training_data import TrainingUnit
from blemish.methods.view_params import ViewParams
from tests.models import new

COLUMNS = [
    *("image", "score", "decision", "threshold", "regions", "area", "map_maximum"),
    *("width", "height"),
]
SIZE = 64


class Params(ViewParams):
    """`resize` as in `Framing`."""

    image_size: int = SIZE
    resize: Resize | Literal["auto"] = "squash"


class Bright(Detector):
    """The map is the brightness from 0 to 1, the score ten times its maximum."""

    name = "bright"

    def __init__(self, params: Params, seed: int, framing: Framing) -> None:
        super().__init__(params, seed, framing)
        self.gain = nn.Parameter(torch.ones(1))

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Nothing to learn."""

    def measure(self, images: Tensor) -> Measured:
        maps = images.float().mean(dim=1) / 255 * self.gain
        return Measured(maps, maps)

    def combine(self, peaks: Tensor) -> Tensor:
        return 10 * super().combine(peaks)


def write_model(
    folder: Path, gain: float = 1.0, levels: tuple[int, int] | None = None, **params: Any
) -> Path:
    folder.mkdir()
    detector = new("bright", Params(**params))
    detector.gain.data.fill_(gain)
    maps = np.full((20, 8, 8), 0.2, np.float32)
    maps[:, 0, 0] = np.arange(31, 51) / 100
    normals = [Scored(one, np.array([10.0 * one.max()])) for one in maps]
    save(detector, folder, "tiny/bolts", normals, levels)
    return folder


def write_image(file: Path, size: tuple[int, int] = (96, 128), *spots: tuple[int, ...]) -> Path:
    """Dark grey, (H, W); spots are (top, left, height, width, brightness)."""
    picture = np.full((*size, 3), 51, np.uint8)
    for top, left, height, width, level in spots:
        picture[top : top + height, left : left + width] = level
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)
    return file


def predict(*words: Any) -> Result:
    """Run the command; a UserError is the result's exception."""
    return CliRunner().invoke(app, ["predict", *map(str, words)])


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
