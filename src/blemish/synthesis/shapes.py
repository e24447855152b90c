"""The soft shapes of display defects (`docs/spec/dlas-net.md` §8.2), batched functions of seeds.

Each returns the defect's profile, (B, H, W) float32 in [−1, 1] with its peak at 1 or −1, and its
label, (B, H, W) bool. Sizes are the specification's, in pixels of a picture of 1000, and scale
with the shorter side, but no defect is thinner than a pixel. Parameters are drawn in float64;
everything per pixel is elementwise, so that a batch's size changes no bit.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from blemish.synthesis.random import uniforms

SIDE = 1000
FAINTEST = 0.1  # of the peak; thinner parts of lines and scratches are no defect
Shape = tuple[Tensor, Tensor]


def log_uniform(share: Tensor, low: float, high: float) -> Tensor:
    """Shares in [0, 1) spread evenly over the logarithms from low to high."""
    return low * (high / low) ** share


def scale_of(height: int, width: int) -> float:
    """Pixels of this picture for one of a picture of SIDE."""
    return min(height, width) / SIDE


def column(values: Tensor) -> Tensor:
    """(B,) → (B, 1, 1) float32, to meet pixels."""
    return values.float()[:, None, None]


def grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows (1, H, 1) and columns (1, 1, W) of pixels, float32."""
    ys = torch.arange(height, device=device, dtype=torch.float32)[None, :, None]
    return ys, torch.arange(width, device=device, dtype=torch.float32)[None, None, :]


def turned_grid(
    x: Tensor, y: Tensor, angle: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Coordinates along and across `angle` about (x, y) in pixels: two of (B, H, W)."""
    ys, xs = grid(height, width, x.device)
    cosine, sine = column(torch.cos(angle)), column(torch.sin(angle))
    right, down = xs - column(x), ys - column(y)
    return right * cosine + down * sine, down * cosine - right * sine


def normalised(profile: Tensor, level: float) -> Shape:
    """The profile with its peak at one, and where its strength exceeds `level`."""
    peak = profile.abs().flatten(1).amax(dim=1).clamp(min=1e-6)[:, None, None]
    profile = profile / peak
    return profile, profile.abs() > level


def cut(profile: Tensor) -> Shape:
    """As `normalised`; what is fainter than FAINTEST is no defect, so label ⇔ profile ≠ 0."""
    profile, label = normalised(profile, FAINTEST)
    return profile * label, label


def spot(seeds: Tensor, height: int, width: int) -> Shape:
    """One to eight blobs of radius 1–8, each Gaussian or a disc with soft edges."""
    most = 8
    count = 1 + torch.floor(uniforms(seeds, 70, 1) * most)
    x, y, size, flat = uniforms(seeds, 71, 4 * most).view(-1, 4, most).unbind(1)
    radius = (log_uniform(size, 1, 8) * scale_of(height, width)).clamp(min=0.7)
    # A Gaussian, raised and cut at one, is a disc; either is at one half at the radius.
    gain = torch.where(flat < 0.5, 1.0, 8.0)
    sigma = radius / torch.sqrt(2 * torch.log(2 * gain))
    gain = (gain * (torch.arange(most, device=seeds.device) < count)).float()
    ys, xs = grid(height, width, seeds.device)
    bell_y = torch.exp(-0.5 * ((ys - _row(y * height)) / _row(sigma)) ** 2)  # (B, H, 8)
    bell_x = torch.exp(-0.5 * ((xs.mT - _row(x * width)) / _row(sigma)) ** 2)
    profile = torch.zeros(len(seeds), height, width, device=seeds.device)
    for blob in range(most):
        rows = (bell_y[:, :, blob] * gain[:, blob, None])[:, :, None]
        profile += (rows * bell_x[:, None, :, blob]).clamp_(max=1)
    return normalised(profile.clamp_(max=1), 0.5)


def _row(values: Tensor) -> Tensor:
    return values.float()[:, None, :]


def line(seeds: Tensor, height: int, width: int) -> Shape:
    """A line of width 1–4, whole or partial, flat or Gaussian; one in twenty is oblique."""
    x, y, turn, tilted, size, flat, part, one, other = uniforms(seeds, 72, 9).unbind(1)
    vertical, slope = torch.floor(2 * turn), (2 * turn) % 1 - 0.5
    angle = (vertical + torch.where(tilted < 0.05, 0.2 * slope, 0.0)) * (math.pi / 2)
    along, across = turned_grid(x * width, y * height, angle, height, width)
    thick = column((log_uniform(size, 1, 4) * scale_of(height, width)).clamp(min=1))
    gaussian = torch.exp(-0.5 * (across / (thick / 2.355)) ** 2)
    profile = torch.where(
        column(flat) < 0.5, (thick / 2 + 0.5 - across.abs()).clamp(0, 1), gaussian
    )
    # A partial line covers the piece between two places, at least a tenth of the picture.
    reach = max(height, width)
    start, stop = torch.minimum(one, other) - 0.55, torch.maximum(one, other) - 0.45
    piece = (along > column(start * reach)) & (along < column(stop * reach))
    return cut(profile * (piece | (column(part) < 0.5)))


def mura(seeds: Tensor, height: int, width: int) -> Shape:
    """An uneven cloud or band of deviation 30–150, or the peaks of a smooth random field."""
    choice = uniforms(seeds, 73, 1)[:, 0]
    profile = torch.empty(len(seeds), height, width, device=seeds.device)
    for chosen, draw in ((choice < 0.7, _cloud), (choice >= 0.7, _peaks)):
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            profile[rows] = draw(seeds[rows], height, width)
    return normalised(profile, 0.5)


def _cloud(seeds: Tensor, height: int, width: int) -> Tensor:
    """Four overlapping Gaussians; one in three is so long that it is a band."""
    x, y, size, angle, band = uniforms(seeds, 74, 5).unbind(1)
    sigma = log_uniform(size, 30, 150) * scale_of(height, width)
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    stretch = torch.where(band < 1 / 3, 1e3, 1 + band)
    total = torch.zeros_like(along)
    for number in range(4):
        shift_u, shift_v, wide, weight = uniforms(seeds, 75 + number, 4).unbind(1)
        spread = sigma * (0.5 + 0.6 * wide)
        u = (along - column(2 * (shift_u - 0.5) * sigma)) / column(spread * stretch)
        v = (across - column(2 * (shift_v - 0.5) * sigma)) / column(spread)
        total += torch.exp(-0.5 * (u * u + v * v)) * column(0.5 + 0.5 * weight)
    return total


def _peaks(seeds: Tensor, height: int, width: int) -> Tensor:
    """Softly cut peaks of a sum of waves in random directions."""
    sigma = log_uniform(uniforms(seeds, 80, 1)[:, 0], 30, 150) * scale_of(height, width)
    ys, xs = grid(height, width, seeds.device)
    waves = 6
    angle, phase, length = (uniforms(seeds, 81, 3 * waves).view(-1, 3, waves) * 2).unbind(1)
    total = torch.zeros(len(seeds), height, width, device=seeds.device)
    for wave in range(waves):
        rate = 2 * math.pi / (sigma * (4 + 3 * length[:, wave]))
        x_rate = column(rate * torch.cos(angle[:, wave] * math.pi))
        y_rate = column(rate * torch.sin(angle[:, wave] * math.pi))
        total += torch.cos(xs * x_rate + (ys * y_rate + column(phase[:, wave] * math.pi)))
    peak = total.flatten(1).amax(dim=1)[:, None, None]
    # Not torch.sigmoid, whose bits depend on a pixel's place in memory.
    return 1 / (1 + torch.exp((0.65 * peak - total) * 2.5))


def scratch(seeds: Tensor, height: int, width: int) -> Shape:
    """A bent scratch of width 1–3 and length 70–420 whose depth varies and skips."""
    x, y, angle, long, size, bow, wave, rate, phase = uniforms(seeds, 82, 9).unbind(1)
    scale = scale_of(height, width)
    length = column(log_uniform(long, 70, 420) * scale)
    thick = column(((1 + 2 * size) * scale).clamp(min=1))
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    at = along / length + 0.5  # 0 … 1 from end to end
    bow, wave = column((bow - 0.5) * 0.5), column((wave - 0.5) * 0.2)
    half, whole = at * math.pi, at * (2 * math.pi)
    bend = length * (bow * torch.sin(half) + wave * torch.sin(whole))
    slope = math.pi * (bow * torch.cos(half) + 2 * wave * torch.cos(whole))
    distance = (across - bend) / torch.sqrt(1 + slope * slope)
    depth = 0.6 + 0.55 * torch.sin(at * column(8 + 20 * rate) + column(phase * 2 * math.pi))
    ends = (torch.minimum(at, 1 - at) * 6).clamp(0, 1)
    return cut(torch.exp(-0.5 * (distance / (0.42 * thick)) ** 2) * depth.clamp(0, 1) * ends)


def cylinder(seeds: Tensor, height: int, width: int) -> Shape:
    """A bubble or fibre under the film, 6–18 wide and up to seven times as long.

    Lit from one side and shaded on the other; what the published name means is unknown (§7).
    """
    x, y, angle, size, long, light, tint = uniforms(seeds, 83, 7).unbind(1)
    radius = (log_uniform(size, 3, 9) * scale_of(height, width)).clamp(min=1)
    straight = column(radius * (log_uniform(long, 1, 7) - 1))
    along, across = turned_grid(x * width, y * height, angle * math.pi, height, width)
    beyond = torch.maximum(along - straight, torch.zeros_like(along)) + torch.minimum(
        along + straight, torch.zeros_like(along)
    )
    u, v = beyond / column(radius), across / column(radius)
    squared = u * u + v * v
    # The slope of a round body towards the light, fading where it meets the ground.
    towards = light * 2 * math.pi
    slope = u * column(torch.cos(towards)) + v * column(torch.sin(towards))
    body = (1.15 - squared).clamp(0, 1)
    profile = body * (slope + column(0.8 * (tint - 0.5)))
    return normalised(profile, 0)[0], squared < 1


SHAPES: dict[str, Callable[[Tensor, int, int], Shape]] = {
    "spot": spot,
    "line": line,
    "mura": mura,
    "scratch": scratch,
    "cylinder": cylinder,
}
