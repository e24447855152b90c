"""DMAD word for word as in `docs/spec/dmad.md` §§3–5; tests and benchmarks compare with it.

Nothing that is shipped imports this module.
"""

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from blemish.methods.dmad.detector import Dmad
from blemish.methods.dmad.offsets import CoordinateConvolution, OffsetNetwork


def with_coordinates(images: Tensor) -> Tensor:
    """§3.2: images with four more channels, (B, C + 4, H, W)."""
    axes = []
    for n in images.shape[-2:]:
        i = torch.arange(n, dtype=images.dtype, device=images.device)
        c = (i // 4) / (n / 4 - 1)
        axes.append((2 * (i / (n - 1) - c) - 1, 2 * c - 1))
    height, width = images.shape[-2:]
    maps = [coordinate[:, None].expand(height, width) for coordinate in axes[0]]
    maps += [coordinate[None].expand(height, width) for coordinate in axes[1]]
    return torch.cat([images, torch.stack(maps).expand(len(images), -1, -1, -1)], dim=1)


def sample(images: Tensor, field: Tensor) -> Tensor:
    """§3.2: images (B, C, H, W) where identity grid + field (B, 2, H, W) point."""
    height, width = field.shape[-2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=field.dtype, device=field.device),
        torch.linspace(-1, 1, width, dtype=field.dtype, device=field.device),
        indexing="ij",
    )
    grid = (torch.stack([x, y])[None] + field).clamp(-1, 1).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=True)


def length(field: Tensor) -> Tensor:
    """§4: |O| at each pixel, (B, 1, H, W)."""
    return field.square().sum(dim=1, keepdim=True).sqrt()


def roughness(field: Tensor) -> Tensor:
    """§4: S(O)."""
    kernel = torch.full((1, 2, 3, 3), -1 / 8, dtype=field.dtype, device=field.device)
    kernel[:, :, 1, 1] = 1
    return F.conv2d(field, kernel, padding=1).abs().mean()


def quantise(z: Tensor, codebook: Tensor, commitment: float) -> tuple[Tensor, Tensor]:
    """§3.4: features (B, C, h, w) replaced by prototypes, by a one-hot product; and L_vq."""
    vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
    squares = vectors.square().sum(dim=1, keepdim=True) + codebook.square().sum(dim=1)
    nearest = (squares - 2 * vectors @ codebook.T).argmin(dim=1)
    rows = F.one_hot(nearest, len(codebook)).to(z.dtype) @ codebook
    e = rows.view(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
    loss = F.mse_loss(e, z.detach()) + commitment * F.mse_loss(e.detach(), z)
    return z + (e - z).detach(), loss


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Over axis 1."""
    lengths = first.norm(dim=1) * second.norm(dim=1)
    cosines: Tensor = (first * second).sum(dim=1) / lengths.clamp(min=1e-8)
    return cosines


def distillation_loss(encoded: list[Tensor], decoded: list[Tensor]) -> Tensor:
    """§4: L_main."""
    levels = zip(encoded, decoded, strict=True)
    losses = [
        (1 - cosine(teacher.flatten(1), student.flatten(1))).mean() for teacher, student in levels
    ]
    return torch.stack(losses).sum()


def distance_map(encoded: list[Tensor], decoded: list[Tensor], size: torch.Size) -> Tensor:
    """§5, step 2: a, (B, 1, H, W)."""
    total = torch.zeros(len(encoded[0]), 1, *size, dtype=encoded[0].dtype, device=encoded[0].device)
    for teacher, student in zip(encoded, decoded, strict=True):
        level = (1 - cosine(teacher, student))[:, None]
        total = total + F.interpolate(level, size, mode="bilinear", align_corners=True)
    return total


def deformation(first: Tensor, second: Tensor) -> Tensor:
    """§5, step 5: sample(|first|, second) + |second|."""
    return sample(length(first), second) + length(second)


def smooth(maps: Tensor, sigma: float) -> np.ndarray:
    """§5, step 4, on the host: of one map (1, 1, H, W), (H, W)."""
    smoothed = gaussian_filter(maps[0, 0].cpu().numpy(), sigma, mode="reflect", truncate=4.0)
    return np.asarray(smoothed)


class Offsets(nn.Module):
    """§3.2: the four heads apart, with copies of the weights of `network`."""

    net: Any

    def __init__(self, network: OffsetNetwork) -> None:
        super().__init__()
        self.net = _channels_first(network)
        shared, norm, _ = self.net.heads
        del self.net.heads
        width = norm.num_features // 4
        self.firsts = nn.ModuleList()
        for head in range(4):
            part = slice(head * width, (head + 1) * width)
            convolution = nn.Conv2d(2 * width, width, 3, stride=2, padding=1)
            convolution.load_state_dict({k: v[part] for k, v in shared.state_dict().items()})
            batch_norm = nn.BatchNorm2d(width)
            batch_norm.load_state_dict(
                {k: v[part] if v.ndim else v for k, v in norm.state_dict().items()}
            )
            self.firsts.append(nn.Sequential(convolution, batch_norm, nn.ReLU()))
        self.to(shared.weight.dtype)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images -> the fields of O1, O2, O2ᵀ, O1ᵀ."""
        net, x1 = self.net, images
        for layer in net.trunk:
            if isinstance(layer, CoordinateConvolution):
                x1 = F.conv2d(with_coordinates(x1), layer.weight, padding=1)
            else:
                x1 = layer(x1)
        x2 = torch.cat([net.norm(x1 + net.residual(x1)), x1], dim=1)
        tails = (net.coarse, net.fine, net.fine_back, net.coarse_back)
        reaches = (net.reach[0], net.reach[1], net.reach[1], net.reach[0])
        small = [
            torch.tanh(tail(first(x2))) * reach
            for first, tail, reach in zip(self.firsts, tails, reaches, strict=True)
        ]
        size = images.shape[-2:]
        return [F.interpolate(o, size, mode="bilinear", align_corners=True) for o in small]


class Plain(nn.Module):
    """The whole, with copies of the weights of `model`; the encoder's collect gradients."""

    backbone: Any
    bottleneck: Any
    decoder: Any

    def __init__(self, model: Dmad) -> None:
        super().__init__()
        parts = (model.backbone, model.bottleneck, model.decoder)
        self.backbone, self.bottleneck, self.decoder = map(_channels_first, parts)
        self.backbone.network.requires_grad_(True)
        self.offsets = Offsets(model.offsets)
        self.cycle_weight, self.sigma = model.params.cycle_weight, model.params.sigma
        self.train(model.training)

    def trained(self) -> list[nn.Parameter]:
        """The weights that are stepped."""
        parts = (self.offsets, self.bottleneck, self.decoder)
        return [weight for part in parts for weight in part.parameters()]

    def normalised(self, images: Tensor) -> Tensor:
        """§2, of images in [0, 1]."""
        scaled: Tensor = (images - self.backbone.mean) / self.backbone.std
        return scaled

    def squeeze(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """§3.3 or §3.3b: the merged levels, and L_vq or 0."""
        part = self.bottleneck
        if part.quantiser is None:
            merged, loss = part(levels)
        else:
            codes = part.quantiser
            q, loss = quantise(levels[2], codes.codebook, codes.commitment)
            small = [step(level) for step, level in zip(part.levels, levels, strict=True)]
            merged = part.merge(torch.cat([*small, q], dim=1))
        return merged, loss

    def loss(self, images: Tensor) -> Tensor:
        """§4: L, of images (B, 3, H, W) in [0, 1]."""
        x = self.normalised(images)
        o1, o2, o2_back, o1_back = self.offsets(x)
        warped = sample(sample(x, o1), o2)
        encoded = list(self.backbone.network(warped))
        merged, loss = self.squeeze(encoded)
        main = distillation_loss(encoded, self.decoder(merged))
        cycle = sample(sample(warped, o2_back), o1_back)
        rough = sum(roughness(field) for field in (o1, o2, o2_back, o1_back))
        off = length(o1).mean() + length(o2).mean() + rough
        total: Tensor = main + off + self.cycle_weight * F.mse_loss(cycle, x) + loss
        return total

    def maps(self, images: Tensor) -> np.ndarray:
        """§5: feature and deformation map of each image in turn, uint8 -> (B, 2, H, W)."""
        return np.stack([self.maps_of(image[None]) for image in images])

    def maps_of(self, image: Tensor) -> np.ndarray:
        """§5, steps 1 to 5, of one image (1, 3, H, W): (2, H, W)."""
        x = self.normalised(image.to(self.backbone.mean.dtype) / 255)
        o1, o2, o2_back, o1_back = self.offsets(x)
        encoded = list(self.backbone.network(sample(sample(x, o1), o2)))
        merged, _ = self.squeeze(encoded)
        a = distance_map(encoded, self.decoder(merged), x.shape[-2:])
        features = sample(sample(a, o2_back), o1_back)
        deformation(o1, o2)  # computed and never used, as published
        both = (features, deformation(o2_back, o1_back))
        return np.stack([smooth(raw_map, self.sigma) for raw_map in both])


def _channels_first(module: nn.Module) -> Any:
    return copy.deepcopy(module).to(memory_format=torch.contiguous_format)
