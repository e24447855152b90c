"""DLAS-Net at its published size: seconds a training step, plain and ours, on a CPU.

288², `layer3` of WideResNet50-2's shapes with random weights (18×18 cells), float32; batch 8, and
the published batch of 1. `Plain` reads the specification literally: three backbone passes to the
end (the normal images, the synthetic ones, and the centre pass of each epoch, a batch of which goes
with each step), patches cut out and pooled, the ascent through autograd on rows of features. Both
take the same images, masks and noise, which are drawn beforehand, and must give the same losses.
Run on an idle machine:

    python benchmarks/dlas.py [steps]
"""

import copy
import json
import sys
from collections.abc import Callable

import timm
import torch
import torch.nn.functional as F
from glass import measure, peak, update
from torch import Tensor, nn

from blemish.core.device import keep_freed_memory
from blemish.methods.dlas.detector import Dlas
from blemish.methods.dlas.params import Params
from blemish.methods.trainer import trainer_of
from blemish.synthesis.masks import dlas_masks

SIZE, CELLS, DIM = 288, 18, 1536


class Plain(nn.Module):
    """The specification read literally."""

    def __init__(self, ours: Dlas) -> None:
        super().__init__()
        # The whole classifier runs, and all of it after layer3 is thrown away.
        self.network = timm.create_model("wide_resnet50_2").eval().requires_grad_(False)
        own, given = self.network.state_dict(), ours.features.backbone.network.state_dict()
        self.network.load_state_dict(own | given)
        self.taps: list[Tensor] = []
        self.network.layer3.register_forward_hook(lambda *found: self.taps.append(found[2]))
        self.adaptor = copy.deepcopy(ours.adaptor)
        self.discriminator = copy.deepcopy(ours.discriminator)
        self.mean, self.std = ours.features.backbone.mean, ours.features.backbone.std

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, 288, 288) in [0, 1] -> (B·324, 1536); the second pooling is the identity."""
        self.taps.clear()
        self.network((images - self.mean) / self.std)
        patches = F.unfold(self.taps[0], 3, padding=1).movedim(1, 2)  # (B, 324, 9216)
        return F.adaptive_avg_pool1d(patches.flatten(0, 1)[:, None], DIM)[:, 0]

    def score(self, rows: Tensor) -> Tensor:
        return torch.sigmoid(self.discriminator(rows))

    @torch.no_grad()
    def center(self, normal: Tensor) -> Tensor:
        """What one batch adds to the centre, (324, 1536)."""
        return self.adaptor(self.embed(normal)).view(len(normal), -1, DIM).mean(dim=0)

    def project(self, point: Tensor, rows: Tensor) -> Tensor:
        """The adaptive shell (§3)."""
        h = rows - point
        length = h.norm(dim=1, keepdim=True)
        r = (length.mean() + 0.5 * length.std()).clamp(0.5, 1.0)
        return point + torch.clamp(length, 0.8 * r, 1.2 * r) / (length + 1e-10) * h

    def losses(
        self, normal: Tensor, drawn: Tensor, m: Tensor, noise: Tensor, c: Tensor | None
    ) -> Tensor:
        """For images, cell masks bool (N,), noise (N, C); c (N, C) on the hypersphere."""
        u, f = self.adaptor(self.embed(normal)), self.adaptor(self.embed(drawn))
        if c is not None:
            distances = torch.cat([(u - c).norm(dim=1), (f - c)[~m].norm(dim=1)])
            radius = torch.quantile(distances.detach(), 0.75)
        rows = len(u)
        ones, zeros = torch.ones(rows), torch.zeros(rows)
        g = u + noise
        for k in range(20):
            loss = F.binary_cross_entropy(self.score(torch.cat([u, g]))[rows:], ones)
            (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
            size = slope.norm(dim=1, keepdim=True)
            g = g + (0.001 * (1 + size) * slope / (size + 1e-10)).detach()
            if (k + 1) % 5 == 0:
                g = self.project(u if c is None else c, g)
        if c is not None:
            length = (f - c).norm(dim=1, keepdim=True)
            pushed = length.clamp(min=2 * radius).clamp(max=4 * radius) / (length + 1e-10)
            f = torch.where(m[:, None], c + pushed * (f - c), f)
        scores = self.score(torch.cat([u, g]))
        total = F.binary_cross_entropy(scores[:rows], zeros)
        total = total + F.binary_cross_entropy(scores[rows:], ones)
        s = self.score(f)
        error = (s - m.float()).square().detach()
        kept = error >= torch.quantile(error, 0.5)
        q = m.float().clamp(1e-5, 1 - 1e-5)
        pt = ((1 - q) * (1 - s) + q * s + 1e-5)[kept]
        return total + (-((1 - pt) ** 2) * pt.log()).mean()


class Batch:
    """What both train on."""

    def __init__(self, images: int) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (images, 3, SIZE, SIZE)
        self.normal = torch.rand(shape, generator=generator)
        self.masks = dlas_masks(torch.arange(images), SIZE, SIZE)
        texture = torch.rand(shape, generator=generator)
        self.drawn = torch.where(self.masks[:, None], texture, self.normal)
        self.cells = F.max_pool2d(self.masks[:, None].float(), SIZE // CELLS).flatten() > 0


def plain_step(plain: Plain, batch: Batch, hypersphere: bool) -> Callable[[], float]:
    """One step as published, its share of the centre pass included."""
    optimizers = [
        torch.optim.Adam(plain.adaptor.parameters(), lr=1e-4, weight_decay=1e-5),
        torch.optim.AdamW(plain.discriminator.parameters(), lr=2e-4),
    ]
    generator, images = torch.Generator().manual_seed(1), len(batch.normal)

    def step() -> float:
        center = plain.center(batch.normal)
        noise = 0.015 * torch.randn(images * CELLS**2, DIM, generator=generator)
        around = center.repeat(images, 1) if hypersphere else None
        return update(
            plain.losses(batch.normal, batch.drawn, batch.cells, noise, around), optimizers
        )

    return step


def our_step(ours: Dlas, batch: Batch, hypersphere: bool) -> Callable[[], float]:
    """One step of `fit`; the normal images' features come from the cache."""
    optimizers, generator = trainer_of(ours).optimizers(), torch.Generator().manual_seed(1)
    cached = ours.features(batch.normal)
    mean = [level.mean(dim=0, keepdim=True) for level in cached]

    def step() -> float:
        center = trainer_of(ours).adapted(mean).detach() if hypersphere else None
        losses = trainer_of(ours).losses(
            cached, ours.features(batch.drawn), batch.masks, center, generator
        )
        return update(torch.stack(list(losses.values())).sum(), optimizers)

    return step


def main(repeat: int = 1) -> None:
    most = peak()
    print(f"{torch.get_num_threads()} threads, matrix products reach {1e3 * most:.0f} GFLOP/s\n")
    print("                              s/step  TFLOP/step  share of peak      loss")
    figures: dict[str, float] = {"threads": torch.get_num_threads(), "peak_gflops": 1e3 * most}

    def show(images: int, variant: str, title: str, found: tuple[float, float, float]) -> None:
        loss, flop, spent = found
        head = f"batch {images}, {variant:12}{title:7}"
        share = f"{flop / spent / most:13.0%}"
        print(f"{head}{spent:9.2f} {flop:11.2f} {share} {loss:9.5f}", flush=True)

    references = {}
    for images, variant in ((8, "manifold"), (8, "hypersphere"), (1, "manifold")):
        plain = Plain(published(variant)).train()
        plain.network.eval()
        step = plain_step(plain, Batch(images), variant == "hypersphere")
        references[images, variant] = measure(step, repeat)
        show(images, variant, "plain", references[images, variant])
    keep_freed_memory()  # from here on, since it is ours
    for (images, variant), (expected, plain_flop, slow) in references.items():
        step = our_step(published(variant), Batch(images), variant == "hypersphere")
        loss, flop, fast = found = measure(step, repeat + 2)
        show(images, variant, "ours", found)
        if abs(loss - expected) > 1e-4 * expected:
            raise SystemExit("the plain method and ours disagree")
        name = f"batch{images}_{variant}"
        figures[f"{name}_ratio"] = round(slow / fast, 2)
        figures[f"{name}_flop_ratio"] = round(plain_flop / flop, 2)
        figures[f"{name}_share_of_peak"] = round(flop / fast / most, 3)
    print(json.dumps(figures))


def published(variant: str) -> Dlas:
    return Dlas(Params(weights="random", variant=variant), 0).train()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
