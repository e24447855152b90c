"""PatchCore's choice of patches, after `docs/spec/patchcore.md` §2. Nothing is trained.

Normal images give a vector for each cell of a grid; a greedy coreset of all of them is kept.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from blemish.core.progress import progress
from blemish.methods.detector import BATCH
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.patchcore.coreset import Coreset
from blemish.methods.patchcore.detector import PatchCore
from blemish.methods.trainer import Trainer
from blemish.methods.training_data import TrainingUnit
from blemish.nn.whitening import Moments, Whitening

STEPS = 20  # in which the coreset grows: rows of the curves, and moments for a checkpoint


class PatchCoreTrainer(Trainer[PatchCore]):
    """Chooses the bank of a unit."""

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Choose the coreset in a random projection (Algorithm 1), then keep its features."""
        p = self.detector.params
        self.detector.to(loop.device)
        images = unit.normals(self.detector.framing, most=p.windows, seed=loop.seed)
        if self.detector.whitening is not None:
            self.learn_whitening(self.detector.whitening, images, loop)
        generator = loop.generator(2)
        points = self.project(images, generator, loop)
        size = min(max(math.ceil(p.coreset * len(points)), p.neighbours), len(points))
        first = int(torch.randint(len(points), (), generator=generator))
        coreset = Coreset(points, size, first)
        steps = min(STEPS, size)
        for step in loop.epochs(steps, coreset):
            coreset.grow(size * (step + 1) // steps)
            loop.log(coverage_radius=coreset.radius, patches=torch.tensor(coreset.count))
        self.remember(coreset.picked, images, loop)

    def learn_whitening(self, whitening: Whitening, images: Normals, loop: Loop) -> None:
        """From all patches (ours); until it is learnt the detector's features are as they are."""
        moments = Moments(self.detector.params.target_dim, loop.device)
        for _, features in self.embedded(images, loop, "spread"):
            moments.add(features)
        whitening.learn(moments)

    def project(self, images: Normals, generator: torch.Generator, loop: Loop) -> Tensor:
        """All patch features of N images in few dimensions: (N·h·w, d*) on the loop's device.

        ψ is Gaussian: by Johnson and Lindenstrauss distances survive it. Features of no more
        than d* dimensions stay as they are.
        """
        p = self.detector.params
        psi = torch.eye(p.target_dim)
        if p.projection < p.target_dim:
            shape = (p.target_dim, p.projection)
            psi = torch.randn(shape, generator=generator) / math.sqrt(p.projection)
        psi = psi.to(loop.device)
        cells = math.prod(side // p.strides[0] for side in images.shape[2:])
        points = torch.empty(len(images) * cells, psi.shape[1], device=loop.device)
        for start, features in self.embedded(images, loop, "features"):
            torch.mm(features, psi, out=points[start : start + len(features)])
        return points

    def remember(self, picked: Tensor, images: Normals, loop: Loop) -> None:
        """Put the picked patches' features into the bank.

        Embedded a second time: holding all features meanwhile would take C/d* times the memory.
        """
        self.detector.resize_bank(len(picked))
        self.detector.to(loop.device)
        self.detector.cells.copy_(picked)
        for start, features in self.embedded(images, loop, "memory bank"):
            inside = (picked >= start) & (picked < start + len(features))
            self.detector.bank[inside] = features[picked[inside] - start]

    def embedded(self, images: Normals, loop: Loop, title: str) -> Iterator[tuple[int, Tensor]]:
        """Features (B·h·w, C) of each batch of images, and the number of the first."""
        batches, start = images.batches(BATCH), 0
        count = -(-len(images) // BATCH)
        for batch in progress(batches, f"{loop.title} {title}", count, "batch"):
            features = self.detector.embed(batch.to(loop.device)).flatten(0, 2)
            yield start, features
            start += len(features)


TRAINER = PatchCoreTrainer
