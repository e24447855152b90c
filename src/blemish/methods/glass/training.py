"""GLASS's training, after `docs/spec/glass.md` §§6–10, and the hooks by which relatives change it.

Adaptor and discriminator learn to tell normal vectors from synthetic ones, made by noise and
gradient ascent in feature space (global) and by defects drawn on the images (local).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from blemish.images.framing import Framing
from blemish.methods.detector import BATCH
from blemish.methods.glass import ascent
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.distribution import judge
from blemish.methods.glass.feature_cache import GIB, FeatureCache, embed_all
from blemish.methods.glass.features import Levels
from blemish.methods.glass.heads import composed
from blemish.methods.glass.hidden_ascent import Ascent, Projection
from blemish.methods.glass.losses import anomalous_loss, normal_loss, synthesis_loss
from blemish.methods.glass.pool import Drawn, Pool
from blemish.methods.glass.remembering import remember
from blemish.methods.loop import Loop
from blemish.methods.normals import Normals
from blemish.methods.trainer import Trainer
from blemish.methods.training_data import TrainingUnit
from blemish.synthesis.masks import cell_masks
from blemish.synthesis.render import render

# Rows of images and an epoch → features of the normals, synthetic images, masks (B, H, W).
Draw = Callable[[Tensor, int], tuple[Levels, Tensor, Tensor]]


class GlassTrainer(Trainer[Glass]):
    """Fits GLASS.

    Relatives change `ascent` and `projection`, learn more of the normals in `learn_statistics`, add
    to `losses`.
    """

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Train adaptor and discriminator (§§6–10)."""
        p = self.detector.params
        unit = unit.with_kinds(p.kinds)
        self.detector.to(loop.device)
        images = unit.normals(self.detector.framing, most=p.windows, seed=loop.seed)
        if p.variant == "judge":
            squares = unit.normals(Framing.square(p.image_size, "squash"))
            self.detector.hypersphere = judge(mean_image(squares)).hypersphere
        normals = embed_all(  # never augmented, so embedded once
            self.detector.features,
            images,
            f"{loop.title} features",
            half=p.cache == "float16",
            limit=p.cache_gib * GIB,
            folder=loop.folder,
        )
        self.learn_statistics(normals)
        mean = normals.mean() if self.detector.hypersphere else None
        optimizers = self.optimizers()
        noise = loop.generator(2, loop.device)
        heads = nn.ModuleList([self.detector.adaptor, self.detector.discriminator])
        average = AveragedModel(heads, use_buffers=True)
        foreground = unit.foregrounds(self.detector.framing, images) if p.foreground else None

        def draw(rows: Tensor, epoch: int) -> tuple[Levels, Tensor, Tensor]:
            recipes = unit.draw(rows, epoch, loop.seed, images, foreground)
            inside = None if foreground is None else foreground[rows].to(loop.device)
            batch = images[rows].to(loop.device)
            drawn = render(recipes, batch, unit.textures, self.cell, inside, images.side)
            return normals.rows(rows, loop.device), *drawn

        pool = None if p.pool is None else self.pool_of(p.pool, len(images), draw, loop)
        self.detector.train()
        for epoch in loop.epochs(p.epochs, self.detector, average, *optimizers, noise):
            if pool is not None:
                steps = self.on_cells(pool, epoch, noise, loop)
            else:
                *_, last = loop.batches(len(images), p.batch_size, len(images), epoch)
                center = None if mean is None else self.center(mean, normals, last)
                steps = self.on_images(len(images), draw, epoch, center, noise, loop)
            for losses in steps:
                descend(losses, optimizers)
                loop.log(**losses)
            loop.save_epoch(self.detector, epoch)
            if epoch >= p.epochs - p.average_last:
                average.update_parameters(heads)
        heads.load_state_dict(average.module.state_dict())
        if self.detector.memory is not None:
            held_out = unit.normals(self.detector.framing, "val", p.windows, loop.seed)
            remember(self.detector, self.detector.memory, normals, held_out, loop)

    def on_images(
        self,
        count: int,
        draw: Draw,
        epoch: int,
        center: Tensor | None,
        noise: torch.Generator,
        loop: Loop,
    ) -> Iterator[dict[str, Tensor]]:
        """The losses of each step of an epoch, of all cells of the images drawn for it."""
        p = self.detector.params
        batches = loop.batches(count, p.batch_size, p.images_per_epoch, epoch)
        jobs = (partial(draw, rows, epoch) for rows in batches)
        for features, synthetic, masks in loop.prefetch(jobs):
            with loop.autocast():
                twins = self.detector.features(synthetic)
                losses = self.losses(features, twins, masks, center, noise)
            yield losses

    def on_cells(
        self, pool: Pool, epoch: int, noise: torch.Generator, loop: Loop
    ) -> Iterator[dict[str, Tensor]]:
        """The losses of each step of an epoch, of some cells of the pool (ours)."""
        p = self.detector.params
        pool.bring_to(epoch, p.batch_size)
        for _ in range(p.steps):
            x, y, anomalous = pool.sample(p.rows, noise)
            with loop.autocast():
                first = composed(self.detector.adaptor, self.detector.discriminator)
                u, f = (F.linear(cells.to(first[0].dtype), *first) for cells in (x, y))
                offsets = self.noise_like(x, noise).to(u.dtype)
                losses = self.three_losses(*self.manifold_logits(u, f, offsets), anomalous)
            yield losses

    def pool_of(self, size: int, images: int, draw: Draw, loop: Loop) -> Pool:
        """A pool of the unit's images: scaled cells, in half precision as they are many."""

        def cells(rows: Tensor, epoch: int) -> Drawn:
            normal, synthetic, masks = draw(rows, epoch)
            features = self.detector.features
            own = features.scaled(normal)
            twins = features.scaled(features(synthetic))
            return own.half(), twins.half(), cell_masks(masks, *own.shape[1:3])

        return Pool(size, self.detector.params.renewed, images, loop.seed, cells)

    def learn_statistics(self, normals: FeatureCache) -> None:
        """Learn what else training needs of the normal features; GLASS needs nothing."""

    def losses(
        self,
        normals: Levels,
        synthetic: Levels,
        masks: Tensor,
        center: Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """The three branches of one step (§7–9).

        normals, synthetic: features of the normal and of the synthetic images; masks: bool
        (B, H, W); center: (h·w, C) in the hypersphere variant, else None. The discriminator's
        BatchNorm sees the calls in the published order: the ascent's, then [u; g], then the
        synthetic rows.
        """
        p = self.detector.params
        anomalous = cell_masks(masks, *normals[0].shape[2:]).flatten()
        rows = masks.new_empty((anomalous.numel(), p.target_dim), dtype=torch.float32)
        noise = self.noise_like(rows, generator).to(normals[0].dtype)
        if center is None:
            logits = self.on_manifold(normals, synthetic, noise)
        else:
            logits = self.on_hypersphere(normals, synthetic, noise, anomalous, center)
        return self.three_losses(*logits, anomalous)

    def noise_like(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The noise that the ascent starts from, float32 of the shape of `rows`."""
        noise = torch.randn(rows.shape, generator=generator, device=rows.device)
        return noise.mul_(self.detector.params.noise)

    def three_losses(self, logits: Tensor, local: Tensor, anomalous: Tensor) -> dict[str, Tensor]:
        """From the logits of [u; g], (2N,), and of the synthetic rows, (N,)."""
        normal, synthesised = logits.chunk(2)
        quantile = self.detector.params.hard_quantile
        return {
            "loss_normal": normal_loss(normal),
            "loss_global": anomalous_loss(synthesised),
            "loss_local": synthesis_loss(torch.sigmoid(local), anomalous, quantile),
        }

    def on_manifold(
        self, normals: Levels, synthetic: Levels, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of [u; g], (2N,), and of the synthetic rows f, (N,).

        The rows themselves are never computed, only what the first hidden layer makes of them.
        """
        first = composed(self.detector.adaptor, self.detector.discriminator)
        u, f = (
            self.detector.features.linear(levels, *first).flatten(0, 2)
            for levels in (normals, synthetic)
        )
        return self.manifold_logits(u, f, noise)

    def manifold_logits(self, u: Tensor, f: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The same of hidden rows u and f, (N, H); noise (N, C)."""
        discriminator = self.detector.discriminator
        g = ascent.manifold_ascent(discriminator, u, noise, self.ascent, self.projection(None))
        logits = discriminator.after_first(torch.cat([u, g]))
        return logits, discriminator.after_first(f)

    def on_hypersphere(
        self, normals: Levels, synthetic: Levels, noise: Tensor, anomalous: Tensor, center: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same, with distances from the centre clamped (§§7–8)."""
        u, f = (self.adapted(levels) for levels in (normals, synthetic))
        centers = center.repeat(len(u) // len(center), 1)
        quantile = self.detector.params.radius_quantile
        r = ascent.hypersphere_radius(u, f, anomalous, centers, quantile)
        projection = self.projection(r)
        g = ascent.hypersphere_ascent(
            self.detector.discriminator, u, noise, center, self.ascent, projection
        )
        f = ascent.push_out(f, anomalous, centers, ascent.band(2 * r, 4 * r))
        return self.detector.discriminator(torch.cat([u, g])), self.detector.discriminator(f)

    def adapted(self, levels: Levels) -> Tensor:
        """A(E(x)), (B·h·w, C)."""
        linear = self.detector.adaptor.linear
        return self.detector.features.linear(levels, linear.weight, linear.bias).flatten(0, 2)

    @torch.no_grad()
    def center(self, mean: Levels, normals: FeatureCache, last: Tensor) -> Tensor:
        """c per cell, (h·w, C) (§6): the adaptor is affine, so it acts on the mean feature alone.

        mean: over all images. last: rows of the last batch of a pass over them; as published
        (`center_weights: batches`) it weighs as much as the others, though it may be smaller.
        """
        images, size = len(normals), self.detector.params.batch_size
        excess = 0.0
        if self.detector.params.center_weights == "batches":
            count = -(-images // size)
            excess = (size - len(last)) / (size * count)
        rest = [level.mean(dim=0, keepdim=True) for level in normals.rows(last)]
        whole = [torch.lerp(*pair, excess) for pair in zip(mean, rest, strict=True)]
        return self.adapted([level.to(self.detector.features.mean.device) for level in whole])

    @property
    def ascent(self) -> Ascent:
        """The steps of the ascent (§7)."""
        p = self.detector.params
        return Ascent(p.ascent_steps, p.ascent_length, p.project_every)

    def projection(self, radius: Tensor | None) -> Projection:
        """What lengths of offsets are clipped to (§7): ‖g − u‖ on the manifold, without a radius,
        and ‖g − c‖ on the hypersphere, where `radius` holds a share of the normal rows."""
        return ascent.band(*self.bounds) if radius is None else ascent.band(radius, 2 * radius)

    @property
    def bounds(self) -> tuple[float, float]:
        """`band` as lengths: its numbers are absolute, or in units of the noise's length."""
        p = self.detector.params
        unit = p.noise * math.sqrt(p.target_dim) if p.band_unit == "noise" else 1.0
        return p.band[0] * unit, p.band[1] * unit

    @property
    def cell(self) -> int:
        """Pixels a side of one cell of the grid."""
        return int(self.detector.params.strides[0])

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for the adaptor, AdamW at twice the rate for the discriminator (§10)."""
        rate = self.detector.params.learning_rate
        adaptor, discriminator = (
            self.detector.adaptor.parameters(),
            self.detector.discriminator.parameters(),
        )
        return [
            torch.optim.Adam(adaptor, lr=rate, weight_decay=1e-5, fused=True),
            torch.optim.AdamW(discriminator, lr=2 * rate, weight_decay=0.01, fused=True),
        ]


def descend(losses: dict[str, Tensor], optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """One step down the sum of the losses."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    values = list(losses.values())
    sum(values, values[0].new_zeros(())).backward()
    for optimizer in optimizers:
        optimizer.step()


def mean_image(images: Normals) -> Any:
    """The mean of uint8 images (N, 3, H, W) as (H, W, 3) in [0, 1], for `judge`."""
    total = torch.stack([batch.double().sum(dim=0) for batch in images.batches(BATCH)]).sum(dim=0)
    return (total / (255 * len(images))).permute(1, 2, 0).numpy()


TRAINER = GlassTrainer
