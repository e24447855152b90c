"""How GLASS fills its memory after training (ours)."""

import math

import torch
from torch import Tensor

from blemish.methods.detector import BATCH
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.feature_cache import FeatureCache
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.glass.memory import Memory, WeighedMemory
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals

MOST = 100_000  # cells among which those that are remembered are chosen


@torch.no_grad()
def remember(
    detector: Glass, memory: WeighedMemory, normals: FeatureCache, held_out: Normals, loop: Loop
) -> None:
    """Choose what is remembered of the training normals, and weigh distances against logits.

    held_out: the validation normals, of which both are measured.
    """
    detector.eval()
    fill(memory, detector.features, normals, detector.params.memory, loop)

    def measured(batch: Tensor) -> tuple[Tensor, Tensor]:
        cells = detector.features.cells(batch.to(loop.device).float() / 255).flatten(0, 2)
        return detector.logits(cells), cells

    # A few images at a time: all cells against all remembered ones would be gigabytes.
    memory.balance(measured(batch) for batch in held_out.batches(BATCH))


@torch.no_grad()
def fill(
    memory: Memory, features: FrozenFeatures, normals: FeatureCache, size: int, loop: Loop
) -> None:
    """Remember `size` cells of the normals, scaled as `features` scale."""
    generator = loop.generator(5)
    most = math.ceil(MOST / len(normals))  # of an image
    chosen = []
    for levels in normals.batches():
        cells = features.scaled([level.to(loop.device) for level in levels])
        for of_image in cells.flatten(1, 2):
            order = torch.randperm(len(of_image), generator=generator)
            chosen.append(of_image[order[:most].to(loop.device)])
    memory.choose(torch.cat(chosen), size, generator)
