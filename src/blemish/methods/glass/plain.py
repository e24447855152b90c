"""GLASS word for word after `docs/spec/glass.md`, to be read beside it: slow, short, of any dtype.

Tests and benchmarks compare the fast form with this one; the program never imports it.

Rows are the vectors of cells, ordered (image, y, x), N of them with C numbers each: x are features
of the normal images and y those of the synthetic images; u and f are x and y after the adaptor, and
g is made of u by noise and ascent. m, bool (N,), says which rows of f are anomalous. c, (N, C), is
the centre in the hypersphere variant, else None.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from blemish.images.framing import Framing, Resize
from blemish.methods.glass.params import Params
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit
from blemish.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from blemish.synthesis.render import render

Network = Callable[[Tensor], list[Tensor]]  # normalised images -> feature maps, finest first


@torch.no_grad()
def embed(network: Network, images: Tensor, p: Params) -> Tensor:
    """E(x) (§4): images (B, 3, H, W) in [0, 1] -> (B, h, w, C)."""
    mean, std = (torch.tensor(each).to(images) for each in (IMAGENET_MEAN, IMAGENET_STD))
    levels = network((images - mean[:, None, None]) / std[:, None, None])
    return embedding(levels, p.pretrain_dim, p.target_dim, p.patch)


def embedding(levels: list[Tensor], pretrain_dim: int, target_dim: int, patch: int = 3) -> Tensor:
    """Cut out patches, up-sample them entry by entry, pool each level, stack, pool again (§4).

    levels: (B, C_l, h_l, w_l), finest first -> (B, h, w, target_dim).
    """
    batch, (height, width) = len(levels[0]), levels[0].shape[2:]
    pooled = []
    for level in levels:
        patches = F.unfold(level, patch, padding=patch // 2)
        patches = patches.view(batch, -1, *level.shape[2:])
        if level.shape[2:] != (height, width):
            patches = F.interpolate(patches, (height, width), mode="bilinear", align_corners=False)
        rows = patches.permute(0, 2, 3, 1).flatten(0, 2)
        pooled.append(F.adaptive_avg_pool1d(rows[:, None], pretrain_dim))
    stacked = torch.cat(pooled, dim=1).flatten(1)
    return F.adaptive_avg_pool1d(stacked[:, None], target_dim).view(batch, height, width, -1)


def clip(lengths: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Lengths (N, 1) brought into [low, high]."""
    return lengths.clamp(min=low).clamp(max=high)


def project(point: Tensor, rows: Tensor, wanted: Callable[[Tensor], Tensor]) -> Tensor:
    """h = row − point, ρ = ‖h‖: point + wanted(ρ) / (ρ + 1e-10) · h (§7)."""
    h = rows - point
    lengths = h.norm(dim=1, keepdim=True)
    projected: Tensor = point + wanted(lengths) / (lengths + 1e-10) * h
    return projected


def radius(u: Tensor, f: Tensor, m: Tensor, c: Tensor, quantile: float = 0.75) -> Tensor:
    """r_t: the quantile of the normal rows' distances from the centre, a constant (§7)."""
    distances = torch.cat([u - c, (f - c)[~m]]).norm(dim=1)
    return torch.quantile(distances.detach(), quantile)


def local_loss(scores: Tensor, m: Tensor, quantile: float = 0.5) -> Tensor:
    """L_las: the focal loss, averaged over the hard rows (§9)."""
    error = (scores.detach() - m.to(scores.dtype)).square()
    hard = error >= torch.quantile(error, quantile)
    s, q = scores[hard], m[hard].to(scores.dtype).clamp(1e-5, 1 - 1e-5)
    pt = (1 - q) * (1 - s) + q * s + 1e-5
    return (-((1 - pt) ** 2) * pt.log()).mean()


def anomaly_maps(cells: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Cell scores (B, h, w), up-sampled to `size` and smoothed (§12): (B, *size)."""
    large = F.interpolate(cells[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    smooth = [gaussian_filter(each, sigma, mode="reflect", truncate=4.0) for each in large.numpy()]
    return torch.from_numpy(np.stack(smooth))


class Plain(nn.Module):
    """Adaptor A and discriminator D (§5), and what one training step does with them (§§6–10).

    Relatives override `move` and `wanted`.
    """

    def __init__(self, p: Params) -> None:
        super().__init__()
        self.p = p
        self.adaptor = nn.Linear(p.target_dim, p.target_dim)
        self.discriminator = nn.Sequential(
            nn.Linear(p.target_dim, p.hidden),
            nn.BatchNorm1d(p.hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(p.hidden, 1, bias=False),
            nn.Sigmoid(),
            nn.Flatten(0),
        )

    def with_weights(self, adaptor: nn.Module, discriminator: nn.Module) -> Self:
        """Take over the weights and the dtype of the program's two modules."""
        given = [*adaptor.state_dict().values(), *discriminator.state_dict().values()]
        self.to(given[0].dtype).load_state_dict(dict(zip(self.state_dict(), given, strict=True)))
        return self

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam with coupled decay for A, AdamW at twice the rate for D (§10)."""
        rate = self.p.learning_rate
        return [
            torch.optim.Adam(self.adaptor.parameters(), lr=rate, weight_decay=1e-5),
            torch.optim.AdamW(self.discriminator.parameters(), lr=2 * rate, weight_decay=0.01),
        ]

    @torch.no_grad()
    def center(self, batches: Iterable[Tensor]) -> Tensor:
        """The average over batches of A(E(x)) averaged over a batch (§6).

        batches: features (B, h, w, C) -> (h·w, C).
        """
        means = [self.adaptor(x).mean(dim=0).flatten(0, 1) for x in batches]
        return torch.stack(means).mean(dim=0)

    def losses(
        self, x: Tensor, y: Tensor, m: Tensor, noise: Tensor, c: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The three losses of a step (§§7–9); noise: ε, (N, C)."""
        u, g, f = self.synthesise(x, y, m, noise, c)
        normal, anomalous = self.discriminator(torch.cat([u, g])).chunk(2)
        return {
            "loss_normal": F.binary_cross_entropy(normal, torch.zeros_like(normal)),
            "loss_global": F.binary_cross_entropy(anomalous, torch.ones_like(anomalous)),
            "loss_local": local_loss(self.discriminator(f), m, self.p.hard_quantile),
        }

    def synthesise(
        self, x: Tensor, y: Tensor, m: Tensor, noise: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """u, g and f (§§7–8)."""
        u, f = self.adaptor(x), self.adaptor(y)
        if c is None:
            return u, self.ascend(u, noise, u, None), f
        r = radius(u, f, m, c, self.p.radius_quantile)
        g = self.ascend(u, noise, c, r)
        pushed = project(c, f, lambda lengths: clip(lengths, 2 * r, 4 * r))
        return u, g, torch.where(m[:, None], pushed, f)

    def ascend(self, u: Tensor, noise: Tensor, point: Tensor, r: Tensor | None) -> Tensor:
        """g: noise, gradient ascent on the loss of "anomalous", projections around `point` (§7)."""
        g = u + noise
        for k in range(self.p.ascent_steps):
            scores = self.discriminator(torch.cat([u, g]))[len(u) :]
            loss = F.binary_cross_entropy(scores, torch.ones_like(scores))
            (gradient,) = torch.autograd.grad(loss, g, retain_graph=True)
            g = g + self.move(gradient).detach()
            if (k + 1) % self.p.project_every == 0:
                g = project(point, g, lambda lengths: self.wanted(lengths, r))
        return g

    def move(self, gradient: Tensor) -> Tensor:
        """One step of the ascent, normalised row by row (§7)."""
        length: Tensor = gradient.norm(dim=1, keepdim=True)
        return self.p.ascent_length * gradient / (length + 1e-10)

    def wanted(self, lengths: Tensor, r: Tensor | None) -> Tensor:
        """The lengths that a projection gives to offsets of `lengths`; r: on the hypersphere (§7).

        `band_unit: noise` (ours) counts the band in expected lengths of the noise.
        """
        if r is not None:
            return clip(lengths, r, 2 * r)
        unit = self.p.noise * self.p.target_dim**0.5 if self.p.band_unit == "noise" else 1.0
        return clip(lengths, self.p.band[0] * unit, self.p.band[1] * unit)


def update(losses: dict[str, Tensor], optimizers: list[torch.optim.Optimizer]) -> float:
    """One step of the optimisers on the sum of the losses (§§9–10); returns it."""
    total = torch.stack(list(losses.values())).sum()
    for optimizer in optimizers:
        optimizer.zero_grad()
    total.backward()
    for optimizer in optimizers:
        optimizer.step()
    return total.item()


class Training:
    """Whole epochs, for tests: images, masks, order and noise are drawn as the program draws them.

    `standardise` and `average_last` are ours: features of mean 0 and deviation 1 over all cells of
    the normal images, and the average of the last epochs' weights.
    """

    def __init__(
        self, plain: Plain, network: Network, unit: TrainingUnit, loop: Loop, hypersphere: bool
    ) -> None:
        self.plain, self.network, self.unit, self.loop = plain, network, unit, loop
        self.p, self.hypersphere = plain.p, hypersphere
        resize: Resize = "crop" if self.p.resize == "crop" else "squash"
        self.images = unit.normals(Framing.square(self.p.image_size, resize))[:]
        self.mean, self.std = torch.zeros(1), torch.ones(1)
        x = self.features(self.images.float() / 255)
        if self.p.standardise:
            rows = x.flatten(0, 2)
            self.mean, self.std = rows.mean(dim=0), rows.std(dim=0)
        self.x = (x - self.mean) / self.std
        self.noise, self.optimizers = loop.generator(2), plain.optimizers()

    def features(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> (B, h, w, C)."""
        images = images.to(self.plain.adaptor.weight.dtype)
        return (embed(self.network, images, self.p) - self.mean) / self.std

    def fit(self) -> list[dict[str, float]]:
        """Train; returns each epoch's number and mean losses."""
        curves, states = [], []
        for epoch in range(self.p.epochs):
            steps = list(self.epoch(epoch))
            means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
            curves.append({"epoch": epoch + 1} | means)
            states.append({key: value.clone() for key, value in self.plain.state_dict().items()})
        last = states[-self.p.average_last :]
        mean = {key: sum(state[key] for state in last) / len(last) for key in last[0]}
        self.plain.load_state_dict(mean)
        return curves

    def epoch(self, epoch: int) -> Iterator[dict[str, float]]:
        """The losses of each step."""
        count, size, center = len(self.x), self.p.batch_size, None
        if self.hypersphere:
            everything = self.loop.batches(count, size, count, epoch)
            center = self.plain.center(self.x[rows] for rows in everything)
        for rows in self.loop.batches(count, size, self.p.images_per_epoch, epoch):
            recipes, cell = self.unit.draw(rows, epoch, self.loop.seed), self.p.strides[0]
            drawn, masks = render(recipes, self.images[rows], self.unit.textures, cell)
            m = F.max_pool2d(masks.float(), cell).flatten() > 0
            noise = self.p.noise * torch.randn(m.numel(), self.p.target_dim, generator=self.noise)
            x, y = (each.flatten(0, 2) for each in (self.x[rows], self.features(drawn)))
            c = None if center is None else center.repeat(len(rows), 1)
            losses = self.plain.losses(x, y, m, noise.to(x.dtype), c)
            update(losses, self.optimizers)
            yield {name: loss.item() for name, loss in losses.items()}
