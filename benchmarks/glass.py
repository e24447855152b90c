"""GLASS at its published size: seconds a training step of the plain method and of ours, on a CPU.

Batch 8, 288², shapes of WideResNet50-2 with random weights, float32. The plain form
(`blemish.methods.glass.plain`) reads `docs/spec/glass.md` §§4–10 literally: three backbone passes
to the end (the normal images, the synthetic ones, and the centre pass of each epoch, a batch of
which goes with each step), patches cut out and pooled, the ascent through autograd on rows of
features. Both take the same images, masks and noise, which are drawn beforehand, and must give the
same losses. Run on an idle machine, minutes:

    python benchmarks/glass.py [steps [manifold|hypersphere]]
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import timm
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from untrained import untrained

from blemish.core.device import keep_freed_memory
from blemish.methods.glass.detector import Glass
from blemish.methods.glass.params import Params
from blemish.methods.glass.plain import Plain, embed, update
from blemish.methods.trainer import trainer_of
from blemish.synthesis.masks import perlin_masks

SIZE = 288


class WholeNetwork:
    """The classifier, run to its end, though what follows the tapped layers is thrown away (§4)."""

    def __init__(self, ours: Glass) -> None:
        self.network = timm.create_model("wide_resnet50_2").eval().requires_grad_(False)
        given = ours.features.backbone.network.state_dict()
        self.network.load_state_dict(self.network.state_dict() | given)
        self.taps: list[Tensor] = []
        layers = {8: self.network.layer2, 16: self.network.layer3}
        for stride in ours.params.strides:
            layers[stride].register_forward_hook(lambda *call: self.taps.append(call[2]))

    def __call__(self, images: Tensor) -> list[Tensor]:
        self.taps.clear()
        self.network(images)
        return list(self.taps)


class Batch:
    """What both train on: images, masks in pixels and in cells; the noise has a seed."""

    def __init__(self, images: int, cell: int, masks_of: Callable[..., Tensor]) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (images, 3, SIZE, SIZE)
        self.normal = torch.rand(shape, generator=generator)
        self.masks = masks_of(torch.arange(images), SIZE, SIZE)
        texture = torch.rand(shape, generator=generator)
        self.drawn = torch.where(self.masks[:, None], texture, self.normal)
        self.cells = F.max_pool2d(self.masks[:, None].float(), cell).flatten() > 0


@dataclass(frozen=True)
class Case:
    """A method with one setting, its plain form and a batch."""

    name: str
    detector: Callable[[], Glass]
    plain: Callable[[Params], Plain]
    batch: Batch


Step = Callable[[], float]  # returns the loss


def plain_step(case: Case) -> Step:
    """One step of §§4–10, the step's share of the centre pass (§6) included."""
    ours, batch = case.detector(), case.batch
    plain = case.plain(ours.params).with_weights(ours.adaptor, ours.discriminator).train()
    network, optimizers = WholeNetwork(ours), plain.optimizers()
    generator, images = torch.Generator().manual_seed(1), len(batch.normal)

    def step() -> float:
        center = plain.center([embed(network, batch.normal, plain.p)])
        c = center.repeat(images, 1) if ours.hypersphere else None
        x, y = (embed(network, each, plain.p).flatten(0, 2) for each in (batch.normal, batch.drawn))
        noise = plain.p.noise * torch.randn(x.shape, generator=generator)
        return update(plain.losses(x, y, batch.cells, noise, c), optimizers)

    return step


def our_step(case: Case, bfloat16: bool = False) -> Step:
    """One step of `GlassTrainer.fit`; the normal images' features come from the cache."""
    ours, batch = case.detector(), case.batch
    trainer, generator = trainer_of(ours), torch.Generator().manual_seed(1)
    optimizers, cached = trainer.optimizers(), ours.features(batch.normal)
    mean = [level.mean(dim=0, keepdim=True) for level in cached]

    def step() -> float:
        center = trainer.adapted(mean).detach() if ours.hypersphere else None
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            drawn = ours.features(batch.drawn)
            losses = trainer.losses(cached, drawn, batch.masks, center, generator)
        return update(losses, optimizers)

    return step


@dataclass(frozen=True)
class Measured:
    """The first step's loss and TFLOP (products and convolutions), seconds of the fastest other."""

    loss: float
    tflop: float
    seconds: float


def measure(step: Step, repeat: int) -> Measured:
    with FlopCounterMode(display=False) as counter:
        loss = step()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return Measured(loss, counter.get_total_flops() / 1e12, min(times))


def peak() -> float:
    """TFLOP/s of the machine's float32 matrix product."""
    square, times = torch.rand(4096, 4096), []
    for _ in range(5):
        start = time.perf_counter()
        square @ square
        times.append(time.perf_counter() - start)
    return 2 * 4096**3 / 1e12 / min(times)


def compare(cases: Iterable[Case], repeat: int, bfloat16: bool = False) -> None:
    """Time all cases, print a table and a line of JSON; exit where the losses differ."""
    most, threads = peak(), torch.get_num_threads()
    print(f"{threads} threads, matrix products reach {1e3 * most:.0f} GFLOP/s\n")
    print(f"{'':36}s/step  TFLOP/step  share of peak      loss")
    figures: dict[str, float] = {"threads": threads, "peak_gflops": 1e3 * most}

    def show(case: Case, title: str, step: Measured) -> Measured:
        share = f"{step.tflop / step.seconds / most:15.0%}"
        numbers = f"{step.seconds:8.2f} {step.tflop:11.2f}{share} {step.loss:9.5f}"
        print(f"{case.name:19}{title:15}{numbers}", flush=True)
        return step

    # Before memory is kept, which is ours.
    plain = [(case, show(case, "plain", measure(plain_step(case), repeat))) for case in cases]
    keep_freed_memory()
    for case, slow in plain:
        fast = show(case, "ours", measure(our_step(case), repeat + 2))
        if abs(fast.loss - slow.loss) > 1e-4 * slow.loss:
            raise SystemExit("the plain method and ours disagree")
        figures[f"{case.name}_ratio"] = round(slow.seconds / fast.seconds, 2)
        figures[f"{case.name}_flop_ratio"] = round(slow.tflop / fast.tflop, 2)
        figures[f"{case.name}_share_of_peak"] = round(fast.tflop / fast.seconds / most, 3)
        if bfloat16:
            low = show(case, "ours, bfloat16", measure(our_step(case, True), repeat + 2))
            figures[f"{case.name}_bfloat16_ratio"] = round(slow.seconds / low.seconds, 2)
    print(json.dumps(figures))


def main(repeat: int = 1, *variants: str) -> None:
    batch = Batch(8, 8, perlin_masks)

    def case(variant: str) -> Case:
        params = Params(weights="random", variant=variant)
        return Case(variant, lambda: untrained("glass", params).train(), Plain, batch)

    compare(map(case, variants or ("manifold", "hypersphere")), repeat, bfloat16=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
