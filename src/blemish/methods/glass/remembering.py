"""How GLASS fills its memory after training (ours)."""

import math

import torch

from blemish.methods.detector import BATCH
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.feature_cache import FeatureCache
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.glass.memory import Memory
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals

MOST = 100_000  # cells among which those that are remembered are chosen


@torch.no_grad()
def remember(detector: Glass, normals: FeatureCache, held_out: Normals, loop: Loop) -> None:
    """Choose what is remembered of the training normals, and weigh distances against logits.

    held_out: the validation normals, of which both are measured. Nothing where the model has no
    memory.
    """
    memory = detector.memory
    if memory is None:
        return
    detector.eval()
    fill(memory, detector.features, normals, detector.params.memory, loop)
    unseen = torch.cat(
        [
            detector.features.cells(batch.to(loop.device).float() / 255).flatten(0, 2)
            for batch in held_out.batches(BATCH)
        ]
    )
    memory.balance(detector.logits(unseen), unseen)


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
