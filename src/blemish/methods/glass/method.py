"""GLASS: global and local anomaly co-synthesis (ECCV 2024), after `methods/glass.md`.

A frozen backbone gives a vector for each cell of a grid; a linear adaptor and a small
discriminator tell normal vectors from synthetic ones, made by noise and gradient ascent in
feature space (global) and by textures in Perlin masks in image space (local).
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from blemish.data.images import Framing
from blemish.methods.base import BATCH, Method
from blemish.methods.glass.params import Params
from blemish.methods.practice import Practice
from blemish.nn.ascent import Ascent, clip_length, gradient_ascent, hypersphere_radius, push_out
from blemish.nn.backbones import Backbone, leave_out_backbone
from blemish.nn.distribution import judge
from blemish.nn.heads import Adaptor, Discriminator
from blemish.nn.losses import anomalous_loss, normal_loss, synthesis_loss
from blemish.nn.patches import PatchEmbedding
from blemish.nn.smoothing import anomaly_map, image_score
from blemish.progress import progress
from blemish.synthesis.masks import cell_masks
from blemish.synthesis.render import render
from blemish.training import Loop
from blemish.unit import TrainingUnit


class Glass(Method):
    """One model per unit: a frozen backbone (§4), a trained adaptor and discriminator (§5)."""

    name = "glass"
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__(params, seed)
        self.framing = Framing(params.image_size, params.resize)
        self.backbone = Backbone(params.backbone, params.strides, params.weights)
        self.embedding = PatchEmbedding(
            self.backbone.channels, params.pretrain_dim, params.target_dim, params.patch
        )
        generator = torch.Generator().manual_seed(seed)
        self.adaptor = Adaptor(params.target_dim, generator=generator)
        self.discriminator = Discriminator(params.target_dim, params.hidden, generator=generator)
        self.hypersphere = params.variant == "hypersphere"
        self.register_buffer("feature_mean", torch.zeros(params.target_dim))
        self.register_buffer("feature_std", torch.ones(params.target_dim))
        leave_out_backbone(self)

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the heads rely on, and which variant was trained (§11)."""
        return {"backbone_digest": self.backbone.digest(), "hypersphere": self.hypersphere}

    def practice(self, unit: str) -> Practice:
        """The best epoch on test, masks cut off to whole pixels, a PRO of its own (§13–14)."""
        return Practice(
            note="best epoch on test",
            chosen_by=("image_auroc", "pixel_auroc"),
            mask_above=0 if unit.startswith("visa/") else 254,  # §2.3
            glass_pro=True,
        )

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Train adaptor and discriminator (§§6–10)."""
        p: Params = self.params
        unit = unit.with_kinds(p.kinds)
        self.to(loop.device)
        images = unit.normals(self.framing)
        if p.variant == "judge":
            squares = (
                images if p.resize == "squash" else unit.normals(Framing(p.image_size, "squash"))
            )
            self.hypersphere = judge(mean_image(squares)).hypersphere
        normals = self.embed_all(images, loop)  # (N, h·w, C): never augmented, so embedded once
        if p.standardise:
            self.standardise(normals)
        optimizers = self.optimizers()
        noise = loop.generator(2, loop.device)
        heads = nn.ModuleList([self.adaptor, self.discriminator])
        average = AveragedModel(heads, use_buffers=True)
        foreground = unit.foregrounds(self.framing)

        def synthesise(rows: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
            recipes = unit.draw(rows, epoch, loop.seed)
            inside = None if foreground is None else foreground[rows].to(loop.device)
            batch = images[rows].to(loop.device)
            return rows, *render(recipes, batch, unit.textures, self.cell, inside)

        self.train()
        for epoch in loop.epochs(p.epochs, self, average, *optimizers, noise):
            center = self.center(normals) if self.hypersphere else None
            batches = loop.batches(len(images), p.batch_size, p.images_per_epoch, epoch)
            jobs = (partial(synthesise, rows, epoch) for rows in batches)
            for rows, synthetic, masks in loop.ahead(jobs):
                features = self.embed(synthetic)
                losses = self.losses(normals[rows].to(loop.device), features, masks, center, noise)
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
                sum(losses.values(), torch.zeros((), device=loop.device)).backward()
                for optimizer in optimizers:
                    optimizer.step()
                loop.log(**losses)
            loop.keep(self, epoch)
            if epoch >= p.epochs - p.average_last:
                average.update_parameters(heads)
        heads.load_state_dict(average.module.state_dict())

    def losses(
        self,
        normals: Tensor,
        synthetic: Tensor,
        masks: Tensor,
        center: Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """The three branches of one step (§7–9).

        normals: cached features (B, h·w, C); synthetic: features (B, h, w, C) of the synthetic
        images; masks: bool (B, H, W); center: (h·w, C) in the hypersphere variant, else None.
        The discriminator's BatchNorm sees the calls in the published order: the ascent's, then
        [u; g], then the synthetic rows.
        """
        p: Params = self.params
        u = self.adaptor(self.scaled(normals)).flatten(0, 1)
        local = self.adaptor(self.scaled(synthetic)).flatten(0, 2)
        anomalous = cell_masks(masks, *synthetic.shape[1:3]).flatten()
        noise = torch.randn(u.shape, generator=generator, device=u.device) * p.noise
        ascent = Ascent(p.ascent_steps, p.ascent_length, p.project_every)
        if center is None:
            low, high = self.band()
            project = partial(clip_length, low=low, high=high)
            g = gradient_ascent(self.discriminator, u, noise, ascent, project)
        else:
            centers = center.repeat(len(normals), 1)
            r = hypersphere_radius(u, local, anomalous, centers, p.radius_quantile)
            project = partial(clip_length, low=r, high=2 * r)
            g = gradient_ascent(self.discriminator, u, noise, ascent, project, centers)
            local = push_out(local, anomalous, centers, 2 * r, 4 * r)
        logits = self.discriminator(torch.cat([u, g]))
        return {
            "loss_normal": normal_loss(logits[: len(u)]),
            "loss_global": anomalous_loss(logits[len(u) :]),
            "loss_local": synthesis_loss(
                self.discriminator.scores(local), anomalous, p.hard_quantile
            ),
        }

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps at the network's input size; the image score is the largest cell score (§12)."""
        features = self.scaled(self.embed(images.float() / 255))
        logits = self.discriminator(self.adaptor(features).flatten(0, 2))
        # In float64 confident cells stay apart, where float32 rounds them all to one.
        cells = torch.sigmoid(logits.double()).view(features.shape[:3])
        maps = anomaly_map(cells, (self.framing.size, self.framing.size), self.params.sigma)
        return maps.float(), image_score(cells)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Frozen features: (B, 3, H, W) in [0, 1] -> (B, h, w, C)."""
        cells: Tensor = self.embedding(self.backbone(images))
        return cells

    def embed_all(self, images: Tensor, loop: Loop) -> Tensor:
        """The features of all normals, (N, h·w, C) on the CPU."""
        batches = images.split(BATCH)
        shown = progress(batches, f"{loop.title} features", len(batches), "batch")
        return torch.cat(
            [self.embed(batch.to(loop.device).float() / 255).flatten(1, 2).cpu() for batch in shown]
        )

    def standardise(self, normals: Tensor) -> None:
        """Learn each feature's mean and standard deviation over all cells (ours, not published)."""
        rows = normals.flatten(0, 1)
        self.feature_mean.copy_(rows.mean(dim=0))
        self.feature_std.copy_(rows.std(dim=0).clamp(min=1e-6))

    def scaled(self, features: Tensor) -> Tensor:
        """Features as the adaptor takes them: unchanged unless standardised."""
        if not self.params.standardise:
            return features
        return (features - self.feature_mean) / self.feature_std

    @torch.no_grad()
    def center(self, normals: Tensor) -> Tensor:
        """c per cell (h·w, C) (§6): the adaptor is affine, so it may act on the mean feature."""
        mean: Tensor = normals.mean(dim=0).to(self.feature_mean.device)
        adapted: Tensor = self.adaptor(self.scaled(mean))
        return adapted

    def band(self) -> tuple[float, float]:
        """Bounds of ‖g − u‖ on the manifold (§7), absolute or in units of the noise's length."""
        p: Params = self.params
        unit = p.noise * math.sqrt(p.target_dim) if p.band_unit == "noise" else 1.0
        return p.band[0] * unit, p.band[1] * unit

    @property
    def cell(self) -> int:
        """Pixels a side of one cell of the grid."""
        return int(self.params.strides[0])

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for the adaptor, AdamW at twice the rate for the discriminator (§10)."""
        rate = self.params.learning_rate
        return [
            torch.optim.Adam(self.adaptor.parameters(), lr=rate, weight_decay=1e-5),
            torch.optim.AdamW(self.discriminator.parameters(), lr=2 * rate, weight_decay=0.01),
        ]


def mean_image(images: Tensor) -> Any:
    """The mean of uint8 images (N, 3, H, W) as (H, W, 3) in [0, 1], for `judge`."""
    total = sum(batch.double().sum(dim=0) for batch in images.split(BATCH))
    return (total / (255 * len(images))).permute(1, 2, 0).numpy()


METHOD = Glass
