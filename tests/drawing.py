"""Recipes of every kind of defect, and what they are drawn with and on."""

from collections.abc import Collection
from functools import cache, partial
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from blemish.core.params import SynthesisParams
from blemish.images.manifest import read_manifest
from blemish.synthesis.crops import prepare_crops
from blemish.synthesis.kinds import TRAINED, UNTRAINED
from blemish.synthesis.recipes import draw_recipes
from blemish.synthesis.textures import TextureBank
from tests.units import scratch, texture_bank, tiny_unit

SOFT = {"spot", "mura", "cylinder", "crops", "dots", "stains"}  # beyond what counts as defect
MAY_BE_EMPTY = {"clean", "dsarad"}
KINDS = (*TRAINED, *UNTRAINED)
COUNT = 2 * len(KINDS)


@cache
def crops() -> Path:
    """Two prepared crops: a disc on white, and a stroke with transparency around."""
    raw, folder = scratch() / "raw-crops", scratch() / "crops"
    raw.mkdir()
    ys, xs = np.mgrid[:24, :32]
    disc = np.full((24, 32, 3), 255, np.uint8)
    disc[np.hypot(ys - 12, xs - 16) < 9] = (90, 40, 20)
    stroke = np.zeros((24, 32, 4), np.uint8)
    stroke[10:14, 3:29] = (250, 240, 230, 255)
    for name, pixels in (("disc", disc), ("stroke", stroke)):
        Image.fromarray(pixels).save(raw / f"{name}.png")
    prepare_crops(sorted(raw.iterdir()), 80, folder)
    return folder


def new_bank() -> TextureBank:
    """A bank that remembers nothing and serves every kind."""
    return TextureBank(texture_bank(), "train", tiny_unit().prepared, crops())


def some_recipes(count: int = COUNT, kinds: Collection[str] = KINDS) -> pd.DataFrame:
    """Recipes of all kinds, mixed."""
    normals = read_manifest(tiny_unit().prepared).of("train", 0)["image"].tolist()
    sources = {"self": normals, "crops": ["0000.png", "0001.png"]}
    images = [f"train/good/{number}.png" for number in range(count)]
    chosen, names = [], new_bank().names
    for number, (image, kind) in enumerate(zip(images, cycle(kinds), strict=False)):
        draw = partial(draw_recipes, [image], [number], "train", sources=sources)
        row = draw("dsarad" if kind == "clean" else kind, names, SynthesisParams())
        chosen.append(row.assign(kind=kind) if kind in MAY_BE_EMPTY else row)
    rows = pd.concat(chosen, ignore_index=True)
    rows["beta"] = rows["beta"].where(rows["kind"] != "dsarad", 0.4)
    rows["texture"] = rows["texture"].where(rows["kind"] != "dsarad", names[0])
    return rows


def some_images(height: int, width: int, count: int = COUNT) -> Tensor:
    random = np.random.default_rng(height * width)
    return torch.from_numpy(random.integers(0, 256, (count, 3, height, width), dtype=np.uint8))
