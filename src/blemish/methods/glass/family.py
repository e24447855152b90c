"""What GLASS and its relatives share: `docs/spec/glass.md`, and the hooks that change it.

A frozen backbone gives a vector for each cell of a grid; a linear adaptor and a small
discriminator tell normal vectors from synthetic ones, made by noise and gradient ascent in
feature space (global) and by defects drawn on the images (local).
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from blemish.images.framing import Framing
from blemish.methods.author_protocol import Practice
from blemish.methods.detector import BATCH, Method
from blemish.methods.glass import ascent
from blemish.methods.glass.distribution import judge
from blemish.methods.glass.family_params import CoSynthesisParams
from blemish.methods.glass.feature_cache import GIB, FeatureCache, Levels
from blemish.methods.glass.features import FrozenFeatures
from blemish.methods.glass.heads import Adaptor, Discriminator, composed
from blemish.methods.glass.hidden_ascent import Ascent, Shell
from blemish.methods.glass.losses import anomalous_loss, normal_loss, synthesis_loss
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit
from blemish.nn.smoothing import anomaly_map, image_score
from blemish.synthesis.masks import cell_masks
from blemish.synthesis.render import render


class CoSynthesis(Method):
    """One model per unit: frozen features (§4), a trained adaptor and discriminator (§5).

    Relatives change `ascent` and `shell`, learn more of the normals in `survey`, add to `losses`.
    """

    def __init__(self, params: CoSynthesisParams, seed: int) -> None:
        p = params.for_unit("")  # whoever did not name the unit gets what holds for most
        super().__init__(p, seed)
        self.framing = Framing(p.image_size, p.resize, float(p.enlarge))
        self.features = FrozenFeatures(
            p.backbone,
            p.weights,
            p.strides,
            p.pretrain_dim,
            p.target_dim,
            p.patch,
            p.standardise,
        )
        generator = torch.Generator().manual_seed(seed)
        self.adaptor = Adaptor(p.target_dim, generator=generator)
        self.discriminator = Discriminator(p.target_dim, p.hidden, generator=generator)
        self.hypersphere = p.variant == "hypersphere"

    def facts(self) -> dict[str, Any]:
        """Which backbone weights the heads rely on, and which variant was trained (§11)."""
        digest = self.features.backbone.digest()
        return {"backbone_digest": digest, "hypersphere": self.hypersphere}

    def practice(self, unit: str) -> Practice | None:
        """The best epoch on test, masks cut off to whole pixels, a PRO of its own (§13–14)."""
        return Practice(
            note="best epoch on test",
            chosen_by=("image_auroc", "pixel_auroc"),
            mask_above=0 if unit.startswith("visa/") else 254,  # §2.3
            glass_pro=True,
        )

    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Train adaptor and discriminator (§§6–10)."""
        p: CoSynthesisParams = self.params
        unit = unit.with_kinds(p.kinds)
        self.to(loop.device)
        images = unit.normals(self.framing)
        if p.variant == "judge":
            squares = unit.normals(Framing(p.image_size, "squash"))
            self.hypersphere = judge(mean_image(squares)).hypersphere
        normals = self.features.of_all(  # never augmented, so embedded once
            images,
            f"{loop.title} features",
            half=p.cache == "float16",
            limit=p.cache_gib * GIB,
            folder=loop.folder,
        )
        self.survey(normals)
        mean = normals.mean() if self.hypersphere else None
        optimizers = self.optimizers()
        noise = loop.generator(2, loop.device)
        heads = nn.ModuleList([self.adaptor, self.discriminator])
        average = AveragedModel(heads, use_buffers=True)
        foreground = unit.foregrounds(self.framing) if p.foreground else None

        def draw(rows: Tensor, epoch: int) -> tuple[Levels, Tensor, Tensor]:
            recipes = unit.draw(rows, epoch, loop.seed)
            inside = None if foreground is None else foreground[rows].to(loop.device)
            batch = images[rows].to(loop.device)
            drawn = render(recipes, batch, unit.textures, self.cell, inside)
            return normals.rows(rows, loop.device), *drawn

        self.train()
        for epoch in loop.epochs(p.epochs, self, average, *optimizers, noise):
            *_, last = loop.batches(len(images), p.batch_size, len(images), epoch)
            center = None if mean is None else self.center(mean, normals, last)
            batches = loop.batches(len(images), p.batch_size, p.images_per_epoch, epoch)
            jobs = (partial(draw, rows, epoch) for rows in batches)
            for features, synthetic, masks in loop.ahead(jobs):
                with loop.autocast():
                    losses = self.losses(features, self.features(synthetic), masks, center, noise)
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

    def survey(self, normals: FeatureCache) -> None:
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
        p: CoSynthesisParams = self.params
        anomalous = cell_masks(masks, *normals[0].shape[2:]).flatten()
        shape = (anomalous.numel(), p.target_dim)
        noise = torch.randn(shape, generator=generator, device=masks.device).mul_(p.noise)
        noise = noise.to(normals[0].dtype)
        if center is None:
            logits, local = self.on_manifold(normals, synthetic, noise)
        else:
            logits, local = self.on_hypersphere(normals, synthetic, noise, anomalous, center)
        normal, synthesised = logits.chunk(2)
        return {
            "loss_normal": normal_loss(normal),
            "loss_global": anomalous_loss(synthesised),
            "loss_local": synthesis_loss(torch.sigmoid(local), anomalous, p.hard_quantile),
        }

    def on_manifold(
        self, normals: Levels, synthetic: Levels, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of [u; g], (2N,), and of the synthetic rows f, (N,); none of them is formed."""
        first = composed(self.adaptor, self.discriminator)
        u, f = (self.features.linear(one, *first).flatten(0, 2) for one in (normals, synthetic))
        g = ascent.manifold_ascent(self.discriminator, u, noise, self.ascent, self.shell(None))
        logits = self.discriminator.after_first(torch.cat([u, g]))
        return logits, self.discriminator.after_first(f)

    def on_hypersphere(
        self, normals: Levels, synthetic: Levels, noise: Tensor, anomalous: Tensor, center: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same, with distances from the centre clamped (§§7–8)."""
        u, f = (self.adapted(one) for one in (normals, synthetic))
        centers = center.repeat(len(u) // len(center), 1)
        quantile = self.params.radius_quantile
        r = ascent.hypersphere_radius(u, f, anomalous, centers, quantile)
        shell = self.shell(r)
        g = ascent.hypersphere_ascent(self.discriminator, u, noise, center, self.ascent, shell)
        f = ascent.push_out(f, anomalous, centers, ascent.band(2 * r, 4 * r))
        return self.discriminator(torch.cat([u, g])), self.discriminator(f)

    def adapted(self, levels: Levels) -> Tensor:
        """A(E(x)), (B·h·w, C)."""
        linear = self.adaptor.linear
        return self.features.linear(levels, linear.weight, linear.bias).flatten(0, 2)

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps at the network's input size; the image score is the largest cell score (§12)."""
        features = self.features.cells(images.float() / 255)
        logits = self.discriminator(self.adaptor(features).flatten(0, 2))
        # In float64 confident cells stay apart, where float32 rounds them all to one.
        cells = torch.sigmoid(logits.double()).view(features.shape[:3])
        maps = anomaly_map(cells, (self.framing.size, self.framing.size), self.params.sigma)
        return maps.float(), self.image_scores(cells)

    def image_scores(self, cells: Tensor) -> Tensor:
        """(B, h, w) -> (B,)."""
        return image_score(cells)

    @torch.no_grad()
    def center(self, mean: Levels, normals: FeatureCache, last: Tensor) -> Tensor:
        """c per cell, (h·w, C) (§6): the adaptor is affine, so it acts on the mean feature alone.

        mean: over all images. last: rows of the last batch of a pass over them; as published
        (`center_weights: batches`) it weighs as much as the others, though it may be smaller.
        """
        images, size = len(normals), self.params.batch_size
        excess = 0.0
        if self.params.center_weights == "batches":
            count = -(-images // size)
            excess = (size - len(last)) / (size * count)
        rest = [level.mean(dim=0, keepdim=True) for level in normals.rows(last)]
        whole = [torch.lerp(*pair, excess) for pair in zip(mean, rest, strict=True)]
        return self.adapted([level.to(self.features.mean.device) for level in whole])

    @property
    def ascent(self) -> Ascent:
        """How to climb (§7)."""
        p: CoSynthesisParams = self.params
        return Ascent(p.ascent_steps, p.ascent_length, p.project_every)

    def shell(self, radius: Tensor | None) -> Shell:
        """What lengths of offsets are clipped to (§7): ‖g − u‖ on the manifold, without a radius,
        and ‖g − c‖ on the hypersphere, where `radius` holds a share of the normal rows."""
        return ascent.band(*self.bounds) if radius is None else ascent.band(radius, 2 * radius)

    @property
    def bounds(self) -> tuple[float, float]:
        """`band` as lengths: its numbers are absolute, or in units of the noise's length."""
        p: CoSynthesisParams = self.params
        unit = p.noise * math.sqrt(p.target_dim) if p.band_unit == "noise" else 1.0
        return p.band[0] * unit, p.band[1] * unit

    @property
    def cell(self) -> int:
        """Pixels a side of one cell of the grid."""
        return int(self.params.strides[0])

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for the adaptor, AdamW at twice the rate for the discriminator (§10)."""
        rate = self.params.learning_rate
        adaptor, discriminator = self.adaptor.parameters(), self.discriminator.parameters()
        return [
            torch.optim.Adam(adaptor, lr=rate, weight_decay=1e-5, fused=True),
            torch.optim.AdamW(discriminator, lr=2 * rate, weight_decay=0.01, fused=True),
        ]


def mean_image(images: Tensor) -> Any:
    """The mean of uint8 images (N, 3, H, W) as (H, W, 3) in [0, 1], for `judge`."""
    total = sum(batch.double().sum(dim=0) for batch in images.split(BATCH))
    return (total / (255 * len(images))).permute(1, 2, 0).numpy()
