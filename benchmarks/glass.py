"""GLASS at its published size: seconds a training step of the plain method and of ours, on a CPU.

Batch 8, 288², shapes of WideResNet50-2 with random weights, float32. `Plain` reads §§4–10 of the
specification literally: three backbone passes to the end (the normal images, the synthetic ones,
and the centre pass of each epoch, a batch of which goes with each step), patches cut out and
pooled, the ascent through autograd on rows of features. Both take the same images, masks and
noise, which are drawn beforehand, and must give the same losses. Run on an idle machine, minutes:

    python benchmarks/glass.py [steps [manifold|hypersphere]]
"""

import copy
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from blemish.core.device import keep_freed_memory
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.features import Levels
from blemish.methods.glass.params import Params
from blemish.methods.trainer import trainer_of
from blemish.synthesis.masks import perlin_masks

BATCH, SIZE, CELLS, DIM = 8, 288, 36, 1536
ROWS = BATCH * CELLS**2


class Plain(nn.Module):
    """The specification read literally."""

    def __init__(self, ours: Glass) -> None:
        super().__init__()
        # The whole classifier runs, and all of it after layer3 is thrown away (§4).
        self.network = timm.create_model("wide_resnet50_2").eval().requires_grad_(False)
        # The weights that `Backbone` draws, before it folds the normalisations into them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawn = timm.create_model(
                ours.params.backbone, features_only=True, out_indices=(2, 3)
            ).state_dict()
        self.network.load_state_dict(self.network.state_dict() | drawn)
        self.taps: list[Tensor] = []
        for layer in (self.network.layer2, self.network.layer3):
            layer.register_forward_hook(lambda *found: self.taps.append(found[2]))
        self.adaptor = copy.deepcopy(ours.adaptor)
        self.discriminator = copy.deepcopy(ours.discriminator)
        self.mean, self.std = ours.features.backbone.mean, ours.features.backbone.std

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """§4: (B, 3, 288, 288) in [0, 1] -> (B·1296, 1536)."""
        self.taps.clear()
        self.network((images - self.mean) / self.std)
        pooled = []
        for level in self.taps:
            patches = F.unfold(level, 3, padding=1).view(len(level), -1, *level.shape[2:])
            patches = F.interpolate(patches, (CELLS, CELLS), mode="bilinear")
            rows = patches.permute(0, 2, 3, 1).reshape(-1, 1, patches.shape[1])
            pooled.append(F.adaptive_avg_pool1d(rows, DIM))
        stacked = torch.stack(pooled, dim=1).flatten(1)
        return F.adaptive_avg_pool1d(stacked[:, None], DIM)[:, 0]

    def score(self, rows: Tensor) -> Tensor:
        return torch.sigmoid(self.discriminator(rows))

    @torch.no_grad()
    def center(self, normal: Tensor) -> Tensor:
        """§6: what one batch adds to the centre, (1296, 1536)."""
        return self.adaptor(self.embed(normal)).view(BATCH, -1, DIM).mean(dim=0)

    def clip(self, point: Tensor, rows: Tensor, low: Any, high: Any) -> Tensor:
        h = rows - point
        length = h.norm(dim=1, keepdim=True)
        return point + length.clamp(min=low).clamp(max=high) / (length + 1e-10) * h

    def losses(self, normal: Tensor, drawn: Tensor, m: Tensor, noise: Tensor, c: Any) -> Tensor:
        """§§7–9 for images, cell masks bool (N,), noise (N, C); c (N, C) on the hypersphere."""
        u, f = self.adaptor(self.embed(normal)), self.adaptor(self.embed(drawn))
        if c is not None:
            distances = torch.cat([(u - c).norm(dim=1), (f - c)[~m].norm(dim=1)])
            r = torch.quantile(distances.detach(), 0.75)
        ones, zeros = torch.ones(ROWS), torch.zeros(ROWS)
        g = u + noise
        for k in range(20):
            loss = F.binary_cross_entropy(self.score(torch.cat([u, g]))[ROWS:], ones)
            (slope,) = torch.autograd.grad(loss, g, retain_graph=True)
            g = g + (0.001 * slope / (slope.norm(dim=1, keepdim=True) + 1e-10)).detach()
            if (k + 1) % 5 == 0:
                g = self.clip(u, g, 0.5, 1.0) if c is None else self.clip(c, g, r, 2 * r)
        if c is not None:
            f = torch.where(m[:, None], self.clip(c, f, 2 * r, 4 * r), f)
        scores = self.score(torch.cat([u, g]))
        total = F.binary_cross_entropy(scores[:ROWS], zeros)
        total = total + F.binary_cross_entropy(scores[ROWS:], ones)
        s = self.score(f)
        error = (s - m.float()).square().detach()
        kept = error >= torch.quantile(error, 0.5)
        q = m.float().clamp(1e-5, 1 - 1e-5)
        pt = ((1 - q) * (1 - s) + q * s + 1e-5)[kept]
        return total + (-((1 - pt) ** 2) * pt.log()).mean()


class Batch:
    """What both train on: images, masks, and the noise's seed."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (BATCH, 3, SIZE, SIZE)
        self.normal = torch.rand(shape, generator=generator)
        self.masks = perlin_masks(torch.arange(BATCH), SIZE, SIZE)
        texture = torch.rand(shape, generator=generator)
        self.drawn = torch.where(self.masks[:, None], texture, self.normal)
        self.cells = F.max_pool2d(self.masks[:, None].float(), SIZE // CELLS).flatten() > 0


def plain_step(plain: Plain, batch: Batch, hypersphere: bool) -> Callable[[], float]:
    """One step of §§4–10, the step's share of the centre pass (§6) included."""
    optimizers = [
        torch.optim.Adam(plain.adaptor.parameters(), lr=1e-4, weight_decay=1e-5),
        torch.optim.AdamW(plain.discriminator.parameters(), lr=2e-4),
    ]
    generator = torch.Generator().manual_seed(1)

    def step() -> float:
        center = plain.center(batch.normal)
        noise = 0.015 * torch.randn(ROWS, DIM, generator=generator)
        around = center.repeat(BATCH, 1) if hypersphere else None
        return update(
            plain.losses(batch.normal, batch.drawn, batch.cells, noise, around), optimizers
        )

    return step


def our_step(
    ours: Glass, batch: Batch, hypersphere: bool, low: bool = False
) -> Callable[[], float]:
    """One step of `Glass.fit`; the normal images' features come from the cache."""
    optimizers, generator = trainer_of(ours).optimizers(), torch.Generator().manual_seed(1)
    cached: Levels = ours.features(batch.normal)
    mean = [level.mean(dim=0, keepdim=True) for level in cached]

    def step() -> float:
        center = trainer_of(ours).adapted(mean).detach() if hypersphere else None
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            drawn = ours.features(batch.drawn)
            losses = trainer_of(ours).losses(cached, drawn, batch.masks, center, generator)
        return update(torch.stack(list(losses.values())).sum(), optimizers)

    return step


def update(loss: Tensor, optimizers: list[torch.optim.Optimizer]) -> float:
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def measure(step: Callable[[], float], repeat: int) -> tuple[float, float, float]:
    """The first step's loss and TFLOP (products and convolutions), seconds of the fastest other."""
    with FlopCounterMode(display=False) as counter:
        loss = step()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return loss, counter.get_total_flops() / 1e12, min(times)


def peak() -> float:
    """TFLOP/s of the machine's float32 matrix product."""
    one, times = torch.rand(4096, 4096), []
    for _ in range(5):
        start = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - start)
    return 2 * 4096**3 / 1e12 / min(times)


def main(repeat: int = 1, *variants: str) -> None:
    most, batch = peak(), Batch()
    print(f"{torch.get_num_threads()} threads, matrix products reach {1e3 * most:.0f} GFLOP/s\n")
    print("                           s/step  TFLOP/step  share of peak      loss")
    figures: dict[str, float] = {"threads": torch.get_num_threads(), "peak_gflops": 1e3 * most}

    def show(variant: str, title: str, found: tuple[float, float, float]) -> None:
        loss, flop, spent = found
        share = f"{flop / spent / most:13.0%}"
        print(f"{variant:12} {title:15}{spent:8.2f} {flop:11.2f}  {share} {loss:9.5f}", flush=True)

    references = {}
    for variant in variants or ("manifold", "hypersphere"):  # before memory is kept, which is ours
        plain = Plain(published(variant)).train()
        plain.network.eval()
        references[variant] = measure(plain_step(plain, batch, variant == "hypersphere"), repeat)
        show(variant, "plain", references[variant])
    keep_freed_memory()
    for variant, (expected, plain_flop, slow) in references.items():
        hypersphere = variant == "hypersphere"
        step, short = (
            our_step(published(variant), batch, hypersphere, low) for low in (False, True)
        )
        loss, flop, fast = found = measure(step, repeat + 2)
        show(variant, "ours", found)
        if abs(loss - expected) > 1e-4 * expected:
            raise SystemExit("the plain method and ours disagree")
        low = measure(short, repeat + 2)
        show(variant, "ours, bfloat16", low)
        figures[f"{variant}_ratio"] = round(slow / fast, 2)
        figures[f"{variant}_bfloat16_ratio"] = round(slow / low[2], 2)
        figures[f"{variant}_flop_ratio"] = round(plain_flop / flop, 2)
        figures[f"{variant}_share_of_peak"] = round(flop / fast / most, 3)
    print(json.dumps(figures))


def published(variant: str) -> Glass:
    return Glass(Params(weights="random", variant=variant), 0).train()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
