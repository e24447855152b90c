"""ESAD: a training step and the scoring of an image against a plain form, in one run.

The plain form has the shape of the published code: one pass a mask and network with the channels
first, two passes of the feature network for each of the two losses, whose parameters take
gradients although they never change, N(x) anew for every draw of masks, up-sampling and mean
filter over the whole map. Both compute the same numbers; that is checked. Run on an idle machine:

    python benchmarks/esad.py [image size] [width]
"""

import copy
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from untrained import untrained

from blemish.methods.esad.detector import Esad, symmetric
from blemish.methods.esad.masks import draw_parts, removed_pixels
from blemish.methods.esad.params import Params
from blemish.methods.esad.plain import Plain
from blemish.methods.trainer import trainer_of

BATCH = 4


def settle(esad: Esad, x: Tensor) -> None:
    """Running statistics as training leaves them: untrained ones would vanish layer by layer."""
    for network in (esad.inpainter, esad.reconstructor):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, generator=torch.Generator().manual_seed(0))
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            network.train()(x)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1


def seconds(work: Callable[[], object], repeat: int) -> float:
    """The fastest of a few runs after one to warm up."""
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return work


def training(esad: Esad, plain: Plain, images: Tensor) -> dict[str, float]:
    """Seconds a step of each form; the losses of both must agree."""
    x, p = symmetric(images), esad.params
    cached = esad.backbone.embed(x)
    generator = torch.Generator().manual_seed(1)
    removed = removed_pixels(draw_parts(esad.framing.window, p.cells[0], generator), p.cells[0])
    kept = (~removed).to(x.dtype)

    def ours() -> Tensor:
        return torch.stack(
            list(trainer_of(esad).losses(symmetric(images), cached, removed).values())
        ).sum()

    def ours_low() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return ours()

    def theirs() -> Tensor:
        return plain.loss(symmetric(images), kept)

    esad.train()
    nn.ModuleList([plain.p, plain.g]).train()
    with torch.no_grad():
        agree(
            "training loss",
            trainer_of(copy.deepcopy(esad)).losses(x, cached, removed).values(),
            theirs(),
        )
    weights = [*plain.p.parameters(), *plain.g.parameters()]
    rate = 1e-6  # the weights stay near each other, whatever is timed first
    return {
        "plain": seconds(step(theirs, torch.optim.Adam(weights, lr=rate)), 3),
        "ours": seconds(step(ours, trainer_of(esad).optimizer()), 3),
        "ours, bfloat16": seconds(step(ours_low, trainer_of(esad).optimizer()), 3),
    }


def agree(what: str, ours: Any, theirs: Tensor) -> None:
    mine = ours if isinstance(ours, Tensor) else torch.stack(list(ours)).sum()
    apart = float(((mine - theirs) / theirs).abs().max())
    print(f"{what}: largest relative difference {apart:.1e}")
    if apart > 1e-3:
        raise SystemExit(f"{what}: the plain form and ours disagree")


def scoring(esad: Esad, plain: Plain, images: Tensor) -> dict[str, float]:
    """Seconds an image, one at a time as the pipeline scores them."""
    cell = esad.params.cells[0]
    removed = removed_pixels(esad.get_buffer(f"parts_{cell}"), cell)
    draws = list((~removed).float())
    esad.eval()
    nn.ModuleList([plain.p, plain.g]).eval()
    with torch.inference_mode():
        both = esad.score(images), plain.score(symmetric(images), draws)
        for what, ours, theirs in zip(("maps", "image scores"), *both, strict=True):
            agree(what, ours, theirs)
        image = images[:1]
        return {
            "plain": seconds(lambda: plain.score(symmetric(image), draws), 5),
            "ours": seconds(lambda: esad.score(image), 5),
        }


def main(size: int = 128, width: int = 64) -> None:
    params = Params(weights="random", image_size=size, width=width)
    esad = untrained("esad", params)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (BATCH, 3, size, size), generator=generator).to(torch.uint8)
    settle(esad, symmetric(images))
    plain = Plain(esad)
    parts = {"scoring an image": scoring(esad, plain, images)}
    parts[f"training step of {BATCH}"] = training(esad, plain, images)
    print(f"\n{size}², width {width}, {params.draws} draws, {torch.get_num_threads()} threads")
    for part, times in parts.items():
        for form, spent in times.items():
            print(f"{part:22} {form:16} {spent:8.3f} s  {times['plain'] / spent:6.2f}×")
    score, train = parts.values()
    figures = {
        "scoring_ratio": score["plain"] / score["ours"],
        "training_ratio": train["plain"] / train["ours"],
        "training_bfloat16_ratio": train["plain"] / train["ours, bfloat16"],
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
