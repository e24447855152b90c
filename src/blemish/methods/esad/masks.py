"""Masks that remove every pixel exactly once (`docs/spec/esad.md` §3).

A mask is kept as the part, 0 to 2, that each cell of a grid belongs to: mask t removes part t.
"""

import torch
from torch import Tensor

PARTS = 3


def draw_parts(size: tuple[int, int], cell: int, generator: torch.Generator) -> Tensor:
    """A random division of the cells of an image of `size` (H, W) into three equal parts.

    The first parts take the remainder. uint8 (H / cell, W / cell), on the CPU.
    """
    rows, columns = size[0] // cell, size[1] // cell
    return divide(torch.randperm(rows * columns, generator=generator)).view(rows, columns)


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
