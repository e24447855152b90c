"""CutPaste (Li et al., CVPR 2021): opaque pieces of the image itself, elsewhere in it."""

import math

import torch
from torch import Tensor

from blemish.synthesis.kind import Batch, Drawn, Kind
from blemish.synthesis.random import uniforms

CUTPASTE_SIDE = 256  # pixels that the sizes of CutPaste's scars refer to


def draw(batch: Batch) -> Drawn:
    """Opaque pieces, none of them empty."""

    def paste(seeds: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return cut_and_paste(batch.images[rows], seeds)

    masks, pasted = batch.until_seen(paste)
    return torch.where(masks[:, None], pasted, torch.div(batch.images, 255)), masks


def cut_and_paste(images: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
    """CutPaste (section 2.2 of the paper): a piece of an image pasted elsewhere in it.

    Half are patches (2–15 % of the area, aspect 0.3–3.3), half scars (2–16 × 10–25 pixels at 256,
    turned by up to 45°), of the picture that the network sees, also where that is a window of a
    larger image; brightness and contrast change by up to 10 %.
    images: uint8 (B, 3, H, W). Returns masks (B, H, W) bool and the pasted picture, float32
    (B, 3, H, W) in [0, 1], of which only the pixels under the mask are meant.
    """
    height, width = images.shape[-2:]
    source_y, source_x, inside = _piece(seeds, height, width)
    place = source_y * width + source_x
    picked = torch.gather(images.flatten(2), 2, place.flatten(1)[:, None].expand(-1, 3, -1))
    contrast, brightness = (0.9 + 0.2 * uniforms(seeds, 101, 2)).float().unbind(1)
    pixels = torch.div(picked.view_as(images), 255)
    pixels = (pixels - 0.5) * contrast[:, None, None, None] + 0.5
    return inside, (pixels * brightness[:, None, None, None]).clamp_(0, 1)


def _piece(seeds: Tensor, height: int, width: int) -> tuple[Tensor, ...]:
    """The row and column that each pixel would come from, and whether it lies in the piece."""
    drawn = uniforms(seeds, 100, 8)
    scar, area, aspect, angle = drawn[:, :4].unbind(1)
    ratio = 0.3 * (3.3 / 0.3) ** aspect
    area = (0.02 + 0.13 * area) * height * width
    scale = min(height, width) / CUTPASTE_SIDE
    is_scar = scar < 0.5
    wide = torch.where(is_scar, (2 + 14 * aspect) * scale, torch.sqrt(area * ratio))
    high = torch.where(is_scar, (10 + 15 * drawn[:, 1]) * scale, torch.sqrt(area / ratio))
    half = [
        (side / 2).clamp(min=1).clamp(max=0.45 * whole)
        for side, whole in ((high, height), (wide, width))
    ]
    turn = torch.where(is_scar, (angle - 0.5) * (math.pi / 2), 0.0)
    reach_y = (half[0] * torch.cos(turn) + half[1] * torch.sin(turn).abs()).clamp(max=height / 2)
    reach_x = (half[1] * torch.cos(turn) + half[0] * torch.sin(turn).abs()).clamp(max=width / 2)
    at_y, from_y = (reach_y + drawn[:, n] * (height - 2 * reach_y) for n in (4, 5))
    at_x, from_x = (reach_x + drawn[:, n] * (width - 2 * reach_x) for n in (6, 7))
    ys = torch.arange(height, device=seeds.device, dtype=torch.float64)[None, :, None]
    xs = torch.arange(width, device=seeds.device, dtype=torch.float64)[None, None, :]
    down, right = ys - at_y[:, None, None], xs - at_x[:, None, None]
    cosine, sine = torch.cos(turn)[:, None, None], torch.sin(turn)[:, None, None]
    u, v = right * cosine + down * sine, down * cosine - right * sine
    inside = (u.abs() <= half[1][:, None, None]) & (v.abs() <= half[0][:, None, None])
    source_y = (v + from_y[:, None, None]).round().long().clamp(0, height - 1)
    source_x = (u + from_x[:, None, None]).round().long().clamp(0, width - 1)
    return source_y, source_x, inside


KIND = Kind(draw)
