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
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.methods.dsarad.detector import Dsarad, anomaly_probability, descend
from blemish.methods.dsarad.networks import ConvNorm, NonLocal, Reconstruction
from blemish.methods.dsarad.params import Params

WIDTH, SIZE, BATCH, STEPS = 32, 128, 4, 4  # of the training step
MIB = 2**20


def plain_attention(self: NonLocal, x: Tensor) -> Tensor:
    theta = self.theta(x).flatten(2)
    phi, g = (F.max_pool2d(one(x), 2).flatten(2) for one in (self.phi, self.g))
    weights = torch.softmax(theta.permute(0, 2, 1) @ phi, dim=2)
    mixed = (weights @ g.permute(0, 2, 1)).permute(0, 2, 1).contiguous()
    mixed = self.back(mixed.view(len(x), -1, *x.shape[2:]))
    return mixed + x


def plain_layer(self: ConvNorm, x: Tensor) -> Tensor:
    normalised: Tensor = self.norm(self.conv(x))
    return normalised


def make_plain(network: nn.Module) -> None:
    """Two layers and a matrix of scores where ours has one layer and none; channels apart."""
    for module in network.modules():
        for kind, forward in ((NonLocal, plain_attention), (ConvNorm, plain_layer)):
            if isinstance(module, kind):
                module.forward = forward.__get__(module)  # type: ignore[method-assign]
    network.to(memory_format=torch.contiguous_format)


def plain_ssim_loss(r: Tensor, x: Tensor) -> Tensor:
    line = torch.tensor([math.exp(-((k - 5) ** 2) / (2 * 1.5**2)) for k in range(11)])
    window = torch.outer(line, line) / line.sum() ** 2
    window = window.to(r).expand(r.shape[1], 1, 11, 11).contiguous()

    def blur(one: Tensor) -> Tensor:
        return F.conv2d(one, window, padding=5, groups=one.shape[1])

    length = (255 if r.max() > 128 else 1) - (-1 if r.min() < -0.5 else 0)
    c1, c2 = (0.01 * length) ** 2, (0.03 * length) ** 2
    mr, mx = blur(r), blur(x)
    vr, vx, cov = blur(r * r) - mr**2, blur(x * x) - mx**2, blur(r * x) - mr * mx
    ssim = (2 * mr * mx + c1) * (2 * cov + c2) / ((mr**2 + mx**2 + c1) * (vr + vx + c2))
    return 1 - ssim.mean()


def plain_focal(logits: Tensor, masks: Tensor) -> Tensor:
    """One-hot targets made on the host, smoothed, against probabilities with pixels as rows."""
    p = logits.softmax(dim=1).flatten(2).permute(0, 2, 1).reshape(-1, 2)
    one_hot = torch.zeros(len(p), 2).scatter_(1, masks.reshape(-1, 1).long().cpu(), 1)
    one_hot = one_hot.clamp(1e-5, 1 - 1e-5).to(p.device)
    pt = (one_hot * p).sum(dim=1) + 1e-5
    return (-((1 - pt) ** 2) * pt.log()).mean()


def plain_distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    total = torch.zeros((), device=student[0].device)
    for ours, theirs in zip(student, teacher, strict=True):
        cosine = F.cosine_similarity(ours.flatten(1), theirs.flatten(1))
        total = total + (1 - cosine).mean() + 0.05 * F.mse_loss(ours, theirs)
    return total


def plain_losses(
    model: Dsarad, teacher: Reconstruction, images: Tensor, corrupted: Tensor, masks: Tensor
) -> dict[str, Tensor]:
    reconstruction, features = model.student(corrupted)
    _, targets = teacher(images)
    logits = model.segmenter(torch.cat([reconstruction, corrupted], dim=1))
    return {
        "loss_mse": F.mse_loss(reconstruction, images),
        "loss_ssim": plain_ssim_loss(reconstruction, images),
        "loss_focal": plain_focal(logits, masks),
        "loss_distillation": plain_distillation(features, targets),
    }


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


def new_model(width: int, segmenter_width: int, size: int, plain: bool, device: str) -> Dsarad:
    params = Params(image_size=size, width=width, segmenter_width=segmenter_width)
    model = Dsarad(params, 0).to(device)
    if plain:
        make_plain(model)
    return model


def training_step(plain: bool, device: str) -> dict[str, float]:
    """A step of stage two at width 32 and 128², and the losses it starts from."""
    model = new_model(WIDTH, WIDTH // 2, SIZE, plain, device).train()
    teacher = Reconstruction(WIDTH, torch.Generator().manual_seed(1)).to(device).train()
    if plain:
        make_plain(teacher)
    optimizer = torch.optim.Adam(model.parameters())
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(BATCH, 3, SIZE, SIZE, generator=generator).to(device)
    masks = (torch.rand(BATCH, SIZE, SIZE, generator=generator) > 0.95).to(device)
    corrupted = torch.where(masks[:, None], 1 - images, images)
    first: dict[str, float] = {}

    def step() -> None:
        compute = plain_losses if plain else Dsarad.losses
        losses = compute(model, teacher, images, corrupted, masks)
        first.update({} if first else {name: value.item() for name, value in losses.items()})
        descend(losses, optimizer, 1e-4)

    seconds, peak = measure(step, device, STEPS)
    return {"seconds": seconds, "MiB": peak} | first


@torch.no_grad()
def forward(plain: bool, device: str) -> dict[str, float]:
    """A forward pass of one image at the published size, and its mean probability."""
    model = new_model(128, 64, 256, plain, device).eval()
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(2)).to(device)
    found: list[Tensor] = []

    def once() -> None:
        reconstruction, _ = model.student(image)
        logits = model.segmenter(torch.cat([reconstruction, image], dim=1))
        probability = logits.softmax(dim=1)[:, 1] if plain else anomaly_probability(logits)
        found[:] = [probability]

    seconds, peak = measure(once, device, 2)
    return {"seconds": seconds, "MiB": peak, "probability": float(found[0].mean())}


def attention(plain: bool, device: str) -> dict[str, float]:
    """The attention block alone, forward and backward, at the published size of one image."""
    block = NonLocal(256).to(device, memory_format=torch.channels_last).train()
    if plain:
        make_plain(block)
    layout = torch.contiguous_format if plain else torch.channels_last
    x = torch.rand(1, 256, 128, 128).to(device, memory_format=layout).requires_grad_()
    seconds, peak = measure(lambda: block(x).sum().backward(), device, 2)
    return {"seconds": seconds, "MiB": peak}


WORKS = {"training step": training_step, "forward": forward, "attention": attention}


def in_a_process(name: str, plain: bool, device: str) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(WORKS[name], (plain, device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    figures: dict[str, float] = {}
    print(f"{'':16}{'plain':>10}{'ours':>10} s{'plain':>10}{'ours':>10} MiB")
    for name in WORKS:
        plain, ours = (in_a_process(name, one, device) for one in (True, False))
        for key in plain.keys() - {"seconds", "MiB"}:
            if not math.isclose(plain[key], ours[key], rel_tol=1e-3):
                raise SystemExit(
                    f"{name}: {key} is {plain[key]} in plain form, {ours[key]} in ours"
                )
        times = f"{plain['seconds']:10.3f}{ours['seconds']:10.3f}"
        print(f"{name:16}{times}  {plain['MiB']:10.0f}{ours['MiB']:10.0f}", flush=True)
        key = name.replace("training ", "")
        figures[f"{key}_ratio"] = round(plain["seconds"] / ours["seconds"], 2)
        figures[f"{key}_memory_ratio"] = round(plain["MiB"] / ours["MiB"], 2)
    figures["threads"] = torch.get_num_threads()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
