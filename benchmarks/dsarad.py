"""DSARAD: time and peak memory of a training step and of a forward pass, ours against plain.

The plain version has the shape of the published code (`docs/spec/dsarad.md` §§4–5, §11): attention
with its matrix of scores, a teacher that runs whole and receives gradients nobody applies, SSIM
with an 11×11 window, a one-hot focal loss, tests on the host, channels apart. It shares the
weights, so the two must agree; that is checked. Each version runs in a process of its own, so that
its peak memory is its own. Run on an idle machine:

    python benchmarks/dsarad.py [--device cuda]
"""

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from untrained import untrained

from blemish.methods.dsarad import plain
from blemish.methods.dsarad.detector import Dsarad, anomaly_probability
from blemish.methods.dsarad.networks import NonLocal, Reconstruction
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.training import descend
from blemish.methods.trainer import trainer_of

WIDTH, SIZE, BATCH, STEPS = 32, 128, 4, 4
MIB = 2**20


def memory(name: str) -> int:
    """VmRSS or VmHWM, the resident memory now or at its peak, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def measure(work: Callable[[], Any], device: str, repeat: int) -> tuple[float, float]:
    """Seconds of the fastest run and MiB that the first one needs beyond what was there."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is now
        before = memory("VmRSS")
    work()
    peak = torch.cuda.max_memory_allocated() if on_gpu else memory("VmHWM")
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times), (peak - before) / MIB


def new_model(width: int, segmenter_width: int, size: int, is_plain: bool, device: str) -> Dsarad:
    params = Params(image_size=size, width=width, segmenter_width=segmenter_width)
    model = untrained("dsarad", params).to(device)
    if is_plain:
        plain.make_plain(model)
    return model


def training_step(is_plain: bool, device: str) -> dict[str, float]:
    """A step of stage two at width 32 and 128², and the losses it starts from."""
    model = new_model(WIDTH, WIDTH // 2, SIZE, is_plain, device).train()
    teacher = Reconstruction(WIDTH, torch.Generator().manual_seed(1)).to(device).train()
    if is_plain:
        plain.make_plain(teacher)
    optimizer = torch.optim.Adam(model.parameters())
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(BATCH, 3, SIZE, SIZE, generator=generator).to(device)
    masks = (torch.rand(BATCH, SIZE, SIZE, generator=generator) > 0.95).to(device)
    corrupted = torch.where(masks[:, None], 1 - images, images)
    trainer, first = trainer_of(model), dict[str, float]()

    def step() -> None:
        batch = (teacher, images, corrupted, masks)
        losses = plain.losses(model, *batch) if is_plain else trainer.losses(*batch)
        first.update({} if first else {name: value.item() for name, value in losses.items()})
        descend(losses, optimizer, 1e-4)

    seconds, peak = measure(step, device, STEPS)
    return {"seconds": seconds, "MiB": peak} | first


@torch.no_grad()
def forward(is_plain: bool, device: str) -> dict[str, float]:
    """A forward pass of one image at the published size, and its mean probability."""
    model = new_model(128, 64, 256, is_plain, device).eval()
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(2)).to(device)
    probabilities: list[Tensor] = []

    def once() -> None:
        reconstruction, _ = model.student(image)
        logits = model.segmenter(torch.cat([reconstruction, image], dim=1))
        probability = logits.softmax(dim=1)[:, 1] if is_plain else anomaly_probability(logits)
        probabilities[:] = [probability]

    seconds, peak = measure(once, device, 2)
    return {"seconds": seconds, "MiB": peak, "probability": float(probabilities[0].mean())}


def attention(is_plain: bool, device: str) -> dict[str, float]:
    """The attention block alone, forward and backward, at the published size of one image."""
    block = NonLocal(256).to(device, memory_format=torch.channels_last).train()
    if is_plain:
        plain.make_plain(block)
    layout = torch.contiguous_format if is_plain else torch.channels_last
    x = torch.rand(1, 256, 128, 128).to(device, memory_format=layout).requires_grad_()
    seconds, peak = measure(lambda: block(x).sum().backward(), device, 2)
    return {"seconds": seconds, "MiB": peak}


WORKS = {"training step": training_step, "forward": forward, "attention": attention}


def in_a_process(name: str, is_plain: bool, device: str) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(WORKS[name], (is_plain, device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    figures: dict[str, float] = {}
    print(f"{'':16}{'plain':>10}{'ours':>10} s{'plain':>10}{'ours':>10} MiB")
    for name in WORKS:
        theirs, ours = (in_a_process(name, is_plain, device) for is_plain in (True, False))
        for key in theirs.keys() - {"seconds", "MiB"}:
            if not math.isclose(theirs[key], ours[key], rel_tol=1e-3):
                raise SystemExit(
                    f"{name}: {key} is {theirs[key]} in plain form, {ours[key]} in ours"
                )
        times = f"{theirs['seconds']:10.3f}{ours['seconds']:10.3f}"
        print(f"{name:16}{times}  {theirs['MiB']:10.0f}{ours['MiB']:10.0f}", flush=True)
        key = name.replace("training ", "")
        figures[f"{key}_ratio"] = round(theirs["seconds"] / ours["seconds"], 2)
        figures[f"{key}_memory_ratio"] = round(theirs["MiB"] / ours["MiB"], 2)
    figures["threads"] = torch.get_num_threads()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
