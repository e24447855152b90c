"""How abnormal each normal image looks to the other ones.

A detector learns what is normal from images that somebody called good. An image that is not spoils
it quietly, so each is compared with all others and never with itself: its cells' features, in
PatchCore's way (`docs/spec/patchcore.md`), have a distance to the nearest of a random sample of the
others' cells, and its score is the mean of the largest ones. A sample and not a coreset, as that
would keep just the cells that are looked for; and what is rare is rarely in a sample.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from blemish.core.progress import progress
from blemish.methods.detector import BATCH
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.normals import Normals

BACKBONE, LEVELS, DIM = "efficientnet_lite0", (8, 16), 112  # of the quick profile; DIM per level
SAMPLE = 8192  # cells of all images together that each image is compared with
FEWEST = 4  # of them from each window
LARGEST = 32  # cells whose mean distance is the score


class Ranking:
    """Scores and maps of N windows of normal images.

    scores: (N,) float64. maps: (N, h, w) float32, each cell's distance to the others' nearest.
    """

    def __init__(self, normals: Normals, groups: Sequence[int], seed: int = 0) -> None:
        """groups: of each window; those of one group are not compared with each other."""
        self.features = FrozenFeatures(
            BACKBONE, "imagenet", LEVELS, DIM, DIM * len(LEVELS), standardise=True
        ).eval()
        self.normals, self.groups = normals, torch.tensor(groups)
        self._learn_sample(torch.Generator().manual_seed(seed))
        maps = [self._distances(cells, start) for start, cells in self._embedded("comparing")]
        self.maps = torch.cat(maps).float()
        largest = torch.cat(maps).flatten(1).topk(min(LARGEST, maps[0][0].numel()))
        self.scores = largest.values.double().mean(dim=1)

    def _embedded(self, title: str) -> Iterator[tuple[int, Tensor]]:
        """Cells (B, h, w, C) of each batch, and the number of its first window."""
        batches, start = self.normals.batches(BATCH), 0
        for batch in progress(batches, title, -(-len(self.normals) // BATCH), "batch"):
            yield start, self.features.cells(batch.float() / 255)
            start += len(batch)

    def _learn_sample(self, generator: torch.Generator) -> None:
        """Cells of each window, and the scale of the features from them all."""
        share = max(FEWEST, SAMPLE // len(self.normals))
        parts = []
        for _, cells in self._embedded("looking at"):
            flat = cells.flatten(1, 2)
            parts += [each[torch.randperm(len(each), generator=generator)[:share]] for each in flat]
        self.owners = self.groups.repeat_interleave(torch.tensor([len(part) for part in parts]))
        sample = torch.cat(parts)
        std, mean = torch.std_mean(sample, dim=0, correction=0)
        self.features.mean.copy_(mean)
        self.features.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        self.sample = (sample - self.features.mean) / self.features.std
        self.squares = self.sample.square().sum(dim=1)

    def _distances(self, cells: Tensor, start: int) -> Tensor:
        """To the nearest cell of another group: (B, h, w, C) -> (B, h, w)."""
        found = []
        for number, image in enumerate(cells.flatten(1, 2), start):
            others = self.squares.masked_fill(self.owners == self.groups[number], torch.inf)
            squared = torch.addmm(others, image, self.sample.T, alpha=-2)
            found.append(squared.amin(dim=1) + image.square().sum(dim=1))
        return torch.stack(found).clamp(min=0).sqrt().view(cells.shape[:3])
