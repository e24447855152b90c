"""Masks that remove every pixel exactly once (`docs/spec/esad.md` §3).

A mask is kept as the part, 0 to 2, that each cell of a grid belongs to: mask t removes part t.
"""

import torch
from torch import Tensor

PARTS = 3


def draw_parts(size: int, cell: int, generator: torch.Generator) -> Tensor:
    """A random division of the cells of an image of size×size pixels into three equal parts.

    The first parts take the remainder. uint8 (size / cell, size / cell), on the CPU.
    """
    side = size // cell
    return divide(torch.randperm(side * side, generator=generator)).view(side, side)


def divide(order: Tensor) -> Tensor:
    """The part of each of N cells, uint8 (N,): the first third in `order`, the second, the last."""
    parts = torch.empty(len(order), dtype=torch.uint8)
    for number, cells in enumerate(order.tensor_split(PARTS)):
        parts[cells] = number
    return parts


def removed_pixels(parts: Tensor, cell: int) -> Tensor:
    """What each mask removes: parts (…, h, w) -> bool (…, 3, 1, h·cell, w·cell)."""
    numbers = torch.arange(PARTS, dtype=parts.dtype, device=parts.device)
    cells = parts[..., None, None, :, :] == numbers[:, None, None, None]
    return cells.repeat_interleave(cell, dim=-2).repeat_interleave(cell, dim=-1)
