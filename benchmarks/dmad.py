"""DMAD: a training step and the scoring of images against the plain, published form of both.

The plain form has the shape of the published code: coordinate channels concatenated to every
image, four heads of their own, a one-hot product with the codebook, an encoder whose weights
collect gradients that nobody steps, every field length and warp by itself, the forward deformation
map that nothing uses, one image at a time, maps smoothed on the host. It has the same weights, so
the two must agree; that is checked. Both take turns, the fastest of a few counts:

    python benchmarks/dmad.py              # the quick settings, then the published networks
    python benchmarks/dmad.py quick
"""

import copy
import json
import sys
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from blemish.core.params import load_params
from blemish.methods.dmad.detector import Dmad
from blemish.methods.dmad.params import Params
from blemish.methods.trainer import trainer_of


def plain_coordinates(images: Tensor) -> Tensor:
    """Images with the four coordinate channels, (B, C + 4, H, W)."""
    axes = []
    for size in images.shape[-2:]:
        index = torch.arange(size, device=images.device)
        coarse = (index // 4) / (size / 4 - 1)
        axes.append((2 * (index / (size - 1) - coarse) - 1, 2 * coarse - 1))
    (fine_row, coarse_row), (fine_column, coarse_column) = axes
    height, width = images.shape[-2:]
    maps = [one[:, None].expand(height, width) for one in (fine_row, coarse_row)]
    maps += [one[None].expand(height, width) for one in (fine_column, coarse_column)]
    return torch.cat([images, torch.stack(maps).expand(len(images), -1, -1, -1)], dim=1)


def plain_sample(images: Tensor, field: Tensor) -> Tensor:
    height, width = field.shape[-2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=field.device),
        torch.linspace(-1, 1, width, device=field.device),
        indexing="ij",
    )
    grid = (torch.stack([x, y])[None] + field).clamp(-1, 1).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=True)


def plain_length(field: Tensor) -> Tensor:
    return field.square().sum(dim=1, keepdim=True).sqrt()


class Plain(nn.Module):
    """The published form with the weights of a model of ours."""

    def __init__(self, model: Dmad) -> None:
        super().__init__()
        self.ours = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.ours.backbone.network.requires_grad_(True)
        convolution, norm, _ = self.ours.offsets.heads
        width = norm.num_features // 4
        self.firsts = nn.ModuleList()
        for head in range(4):
            own = slice(head * width, (head + 1) * width)
            first = nn.Conv2d(2 * width, width, 3, stride=2, padding=1)
            first.weight.data = convolution.weight[own].detach().clone()
            first.bias.data = convolution.bias[own].detach().clone()
            self.firsts.append(nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU()))

    def fields(self, images: Tensor) -> list[Tensor]:
        net = self.ours.offsets
        x = images
        for layer in net.trunk:
            if hasattr(layer, "inputs"):
                x = F.conv2d(plain_coordinates(x), layer.weight, padding=1)
            else:
                x = layer(x)
        x2 = torch.cat([net.norm(x + net.residual(x)), x], dim=1)
        tails = (net.coarse, net.fine, net.fine_back, net.coarse_back)
        reaches = (net.reach[0], net.reach[1], net.reach[1], net.reach[0])
        size = images.shape[-2:]
        return [
            F.interpolate(
                torch.tanh(tail(first(x2))) * reach, size, mode="bilinear", align_corners=True
            )
            for first, tail, reach in zip(self.firsts, tails, reaches, strict=True)
        ]

    def bottleneck(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        part = self.ours.bottleneck
        z, codebook = levels[2], part.quantiser.codebook
        vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
        squares = vectors.square().sum(dim=1, keepdim=True) + codebook.square().sum(dim=1)
        nearest = (squares - 2 * vectors @ codebook.T).argmin(dim=1)
        rows = F.one_hot(nearest, len(codebook)).to(z.dtype) @ codebook
        e = rows.view(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
        loss = F.mse_loss(e, z.detach()) + 0.25 * F.mse_loss(e.detach(), z)
        small = [step(level) for step, level in zip(part.levels, levels, strict=True)]
        return part.merge(torch.cat([*small, z + (e - z).detach()], dim=1)), loss

    def encode(self, normalised: Tensor) -> list[Tensor]:
        return list(self.ours.backbone.network(normalised))

    def loss(self, images: Tensor) -> Tensor:
        ours = self.ours
        x = (images - ours.backbone.mean) / ours.backbone.std
        fields = self.fields(x)
        warped = plain_sample(plain_sample(x, fields[0]), fields[1])
        encoded = self.encode(warped)
        merged, total = self.bottleneck(encoded)
        for one, other in zip(encoded, ours.decoder(merged), strict=True):
            total = total + (1 - F.cosine_similarity(one.flatten(1), other.flatten(1))).mean()
        kernel = torch.full((1, 2, 3, 3), -1 / 8, device=x.device)
        kernel[:, :, 1, 1] = 1
        for field in fields:
            total = total + F.conv2d(field, kernel, padding=1).abs().mean()
        back = plain_sample(plain_sample(warped, fields[2]), fields[3])
        lengths = plain_length(fields[0]).mean() + plain_length(fields[1]).mean()
        return total + lengths + F.mse_loss(back, x)

    def maps(self, images: Tensor) -> np.ndarray:
        """Feature and deformation map of each image in turn, (B, 2, H, W)."""
        return np.stack([self._maps(image[None]) for image in images])

    def _maps(self, image: Tensor) -> np.ndarray:
        ours = self.ours
        x = (image.float() / 255 - ours.backbone.mean) / ours.backbone.std
        fields = self.fields(x)
        encoded = self.encode(plain_sample(plain_sample(x, fields[0]), fields[1]))
        decoded = ours.decoder(self.bottleneck(encoded)[0])
        raw = torch.zeros_like(x[:, :1])
        for one, other in zip(encoded, decoded, strict=True):
            level = 1 - F.cosine_similarity(one, other)[:, None]
            raw += F.interpolate(level, x.shape[-2:], mode="bilinear", align_corners=True)
        features = plain_sample(plain_sample(raw, fields[2]), fields[3])
        lengths = [plain_length(field) for field in fields]
        plain_sample(lengths[0], fields[1]) + lengths[1]  # computed and never used, as published
        deformation = plain_sample(lengths[2], fields[3]) + lengths[3]
        return np.stack(
            [
                gaussian_filter(one[0, 0].cpu().numpy(), 4, mode="reflect", truncate=4.0)
                for one in (features, deformation)
            ]
        )


def optimizer_of(weights: Any) -> torch.optim.Optimizer:
    # Rate 0: the same work, and the same weights for the next step of both.
    return torch.optim.AdamW(weights, lr=0.0, betas=(0.5, 0.999), weight_decay=0.01)


def step_of(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Callable[[], float]:
    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(value.detach())

    return step


def fastest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each way; they take turns, after a round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: min(found) for name, found in times.items()}


def compare(params: Params, batch: int, rounds: int) -> dict[str, float]:
    """Seconds of a training step and of scoring `batch` images, in both forms."""
    model = Dmad(params.model_copy(update={"weights": "random"}), 0)
    plain = Plain(model)
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 3, params.image_size, params.image_size)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    scaled = images.float() / 255
    weights = [weight for part in model.trained() for weight in part.parameters()]
    ours_step = step_of(
        optimizer_of(weights),
        lambda: torch.stack(list(trainer_of(model).losses(scaled).values())).sum(),
    )
    trained = [*plain.ours.trained(), plain.firsts]
    others = [weight for part in trained for weight in part.parameters()]
    plain_step = step_of(optimizer_of(others), lambda: plain.loss(scaled))
    model.train()
    plain.train()
    first, second = ours_step(), plain_step()
    if abs(first - second) > 1e-3 * abs(second):
        raise SystemExit(f"the two forms disagree: {first} and {second}")
    times = fastest({"ours_step": ours_step, "plain_step": plain_step}, rounds)
    model.eval()
    plain.eval()
    with torch.inference_mode():
        # The two saw the same batches, so their running statistics are the same.
        np.testing.assert_allclose(model.maps(images).numpy(), plain.maps(images), atol=2e-3)
        return times | fastest(
            {
                "ours_batch": lambda: model.maps(images),
                "ours_single": lambda: [model.maps(one[None]) for one in images],
                "plain": lambda: plain.maps(images),
            },
            rounds,
        )


def main(*names: str) -> None:
    published = Params(backbone="wide_resnet50_2")
    settings = {"quick": (load_params().method("dmad"), 8, 3), "published": (published, 2, 1)}
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    for name in names or settings:
        times = compare(*settings[name])
        batch = settings[name][1]
        print(f"\n{name}, batches of {batch}        seconds")
        print("\n".join(starmap("  {:24}{:10.3f}".format, times.items())))
        figures[f"step_ratio_{name}"] = round(times["plain_step"] / times["ours_step"], 2)
        figures[f"score_ratio_{name}"] = round(times["plain"] / times["ours_single"], 2)
        figures[f"score_batch_ratio_{name}"] = round(times["plain"] / times["ours_batch"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
