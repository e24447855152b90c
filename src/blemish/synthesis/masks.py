"""Where a synthetic defect lies: masks as pure, batched functions of seeds."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.core.errors import UserError
from blemish.synthesis.perlin import perlin_exceeds
from blemish.synthesis.random import uniforms

ATTEMPTS = 100
STRETCHED = 1.25  # the largest aspect of a picture that a Perlin field is stretched over
DLAS_SIDE = 288  # pixels that the sizes of DLAS-Net's shapes refer to
SMALLEST = 6  # pixels of the smallest held-out shape of an image larger than 300


def perlin_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """The masks of GLASS before rejection (`docs/spec/glass.md` §3.1–3.2).

    Two thresholded Perlin fields, joined by union, intersection, or the first alone. Their cells
    are parts of the picture that the network sees, also where that is a window of a larger image.
    seeds: (B,) int64. Returns (B, height, width) bool; may be empty.
    """
    on_cpu, square = seeds.cpu(), enclosing_square(height, width)
    masks = perlin_exceeds(on_cpu, 1, height, width, square).numpy()
    choice = uniforms(on_cpu, 3, 1)[:, 0].numpy()
    two = (choice > 1 / 3).nonzero()[0]
    if len(two):
        second = perlin_exceeds(on_cpu[two], 2, height, width, square).numpy()
        for row, other in zip(two, second, strict=True):
            join = np.logical_or if choice[row] > 2 / 3 else np.logical_and
            join(masks[row], other, out=masks[row])
    return torch.from_numpy(masks).to(seeds.device)


def enclosing_square(height: int, width: int) -> int | None:
    """The side of the square whose field is cut, so that defects on elongated pictures keep their
    shape; None up to an aspect of STRETCHED, where the field is stretched over the picture."""
    return max(height, width) if max(height, width) > STRETCHED * min(height, width) else None


def single_perlin_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """The masks of DSARAD: one thresholded Perlin field (`docs/spec/dsarad.md` §2.4)."""
    return perlin_exceeds(seeds, 1, height, width, enclosing_square(height, width))


def dlas_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """The masks of DLAS-Net before rejection (`docs/spec/dlas-net.md` §2).

    One thresholded Perlin field, to which lines, points or nothing are added, a third each. The
    published pixel sizes belong to 288 pixels and scale with the shorter side of the picture that
    the network sees, also where that is a window of a larger image.
    """
    masks = perlin_exceeds(seeds, 1, height, width, enclosing_square(height, width))
    choice = uniforms(seeds, 60, 1)[:, 0]
    branches = ((choice > 2 / 3, line_masks), ((choice > 1 / 3) & (choice <= 2 / 3), point_masks))
    for chosen, shapes in branches:
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            masks[rows] |= shapes(seeds[rows], height, width)
    return masks


def line_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """One to four lines: thin vertical pieces, or thick horizontal bands over the whole width."""
    scale = min(height, width) / DLAS_SIDE
    vertical, count = (uniforms(seeds, 61, 2) * torch.tensor([2, 4], device=seeds.device)).unbind(1)
    present = torch.arange(4, device=seeds.device) <= torch.floor(count)[:, None]
    place, first, second, thick = uniforms(seeds, 62, 16).view(-1, 4, 4).unbind(1)
    is_vertical = (vertical < 1)[:, None]
    thickness = torch.where(is_vertical, 1 + torch.floor(5 * thick), 50 + torch.floor(11 * thick))
    half = (thickness * scale).clamp(min=1) / 2
    middle = torch.floor(place * torch.where(is_vertical, width, height))
    start, stop = (
        torch.floor(end(first, second) * height) for end in (torch.minimum, torch.maximum)
    )
    whole = torch.zeros_like(start)
    return _boxes(
        torch.where(is_vertical, start, middle - half),
        torch.where(is_vertical, stop, middle + half),
        torch.where(is_vertical, middle - half, whole),
        torch.where(is_vertical, middle + half, whole + width),
        present,
        (height, width),
    )


def point_masks(seeds: Tensor, height: int, width: int) -> Tensor:
    """10–29 squares of 3×3 pixels (at 288), cut off at the border."""
    side = max(1, round(3 * min(height, width) / DLAS_SIDE))
    count = 10 + torch.floor(uniforms(seeds, 63, 1) * 20)
    present = torch.arange(29, device=seeds.device) < count
    top, left = uniforms(seeds, 64, 58).view(-1, 2, 29).unbind(1)
    top, left = torch.floor(top * height), torch.floor(left * width)
    return _boxes(top, top + side - 1, left, left + side - 1, present, (height, width))


def _boxes(
    top: Tensor, bottom: Tensor, left: Tensor, right: Tensor, present: Tensor, size: tuple[int, int]
) -> Tensor:
    """The union of K boxes an image, bounds (B, K) in pixels and included: (B, H, W) bool."""
    ys = torch.arange(size[0], device=top.device)[None, :, None]
    xs = torch.arange(size[1], device=top.device)[None, None, :]
    rows = (ys >= top[:, None]) & (ys <= bottom[:, None]) & present[:, None]
    columns = (xs >= left[:, :, None]) & (xs <= right[:, :, None])
    return rows.float() @ columns.float() > 0  # counts of boxes: exact


def shape_masks(seeds: Tensor, height: int, width: int, side: float | None = None) -> Tensor:
    """One to four turned ellipses and rectangles: masks that training never sees.

    Their longer sides are log-uniform between 2 % and 25 % of the image's shorter side, but from
    SMALLEST pixels on where that is less: held-out sets are drawn at the images' own size, and on
    large images small defects have to be among them. seeds: (B,) int64; side: the shorter side of
    the whole image in pixels of this picture, None if this is the whole. Returns (B, height, width)
    bool.
    """
    most = 4
    count = 1 + torch.floor(uniforms(seeds, 40, 1) * most)
    x, y, long, ratio, angle, kind = uniforms(seeds, 41, 6 * most).view(-1, 6, most).unbind(dim=1)
    side = min(height, width) if side is None else side
    least = min(0.02, SMALLEST / side)
    half = 0.5 * side * least * (0.25 / least) ** long
    half_other = half * (0.15 + 0.85 * ratio)
    cosine, sine = torch.cos(angle * math.pi), torch.sin(angle * math.pi)
    ys = torch.arange(height, device=seeds.device, dtype=torch.float32)[:, None]
    xs = torch.arange(width, device=seeds.device, dtype=torch.float32)[None]
    mask = torch.zeros(len(seeds), height, width, dtype=torch.bool, device=seeds.device)
    for shape in range(most):
        column = torch.stack((cosine, sine, half, half_other, x * width, y * height, kind))
        c, s, a, b, left, top, round_or_not = column[:, :, shape, None, None].float()
        u = (c * (xs - left) + s * (ys - top)).abs() / a
        v = (c * (ys - top) - s * (xs - left)).abs() / b
        inside = torch.where(round_or_not < 0.5, u * u + v * v, torch.maximum(u, v)) < 1
        mask |= inside & (shape < count)[:, :, None]
    return mask


def draw_masks(
    maker: Callable[[Tensor, int, int], Tensor],
    seeds: Tensor,
    size: tuple[int, int],
    cell: int,
    foreground: Tensor | None = None,
) -> Tensor:
    """Masks of one kind, (B, H, W) bool, drawn until none is empty, see `draw_until_seen`."""

    def draw(attempt_seeds: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        return (maker(attempt_seeds, *size),)

    return draw_until_seen(draw, seeds, size, cell, foreground)[0]


def draw_until_seen(
    draw: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
    seeds: Tensor,
    size: tuple[int, int],
    cell: int,
    foreground: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """What `draw` makes of seeds, drawn again where the mask is empty (`docs/spec/glass.md` §3.2).

    draw: seeds (n,) and the rows (n,) that they belong to → a bool mask (n, H, W) and more tensors
    of length n. The mask is cut to `foreground` (B, H, W). Empty means no positive cell of
    `cell`×`cell` pixels, so any pixel counts; pixels beyond the last whole cell do not. Attempt k
    of seed s hashes (s, k), so a result is a function of its own seed alone. Raises UserError
    where the image is smaller than a cell or no attempt meets the foreground.
    """
    height, width = size
    if min(size) < cell:
        raise UserError(
            f"an image of {width}×{height} pixels is smaller than one cell of the masks' grid, "
            f"{cell}×{cell}: use larger images or smaller cells"
        )
    results: tuple[Tensor, ...] = ()
    missing = torch.arange(len(seeds), device=seeds.device)
    for attempt in range(ATTEMPTS):
        drawn = draw((seeds[missing] + attempt * 0x9E3779B1) & 0xFFFFFFFF, missing)
        if foreground is not None:
            drawn[0].logical_and_(foreground[missing])
        if not attempt:
            results = drawn
        else:
            for result, part in zip(results, drawn, strict=True):
                result[missing] = part
        whole = drawn[0][:, : height // cell * cell, : width // cell * cell]
        positive = whole.cpu().numpy().any(axis=(1, 2))  # far faster than PyTorch's on a CPU
        missing = missing[torch.from_numpy(~positive).to(missing.device)]
        if not len(missing):
            return results
    raise UserError(
        f"no defect met the foreground in {ATTEMPTS} attempts: the foreground mask, or what the "
        "zone `ignore` leaves of it, is empty or nearly so: correct them, or turn the foreground "
        "off"
    )


def cell_masks(masks: Tensor, rows: int, columns: int) -> Tensor:
    """Which cells of a rows×columns grid hold an anomalous pixel. (B, H, W) → (B, rows, columns)"""
    return F.adaptive_max_pool2d(masks[:, None].float(), (rows, columns))[:, 0] > 0
