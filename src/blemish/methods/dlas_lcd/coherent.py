"""Coherent shifts: one vector added to all cells of a region (`docs/spec/dlas-net.md` §8.2).

Noise that is drawn cell by cell cannot look like mura, a faint change that many neighbouring cells
share. A coherent shift can: its direction is one in which neighbouring normal cells differ, its
length a part of how much they do.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

QUANTILE = 0.75  # of the neighbours' distances
SMALLEST = 1.0  # half axis of a region in cells; smaller ones might fall apart


@dataclass(frozen=True)
class Spread:
    """How neighbouring cells of normal images differ.

    distance: the 0.75-quantile of their distances. directions: (K, C), the principal directions of
    their differences, each as long as the standard deviation along it.
    """

    distance: Tensor
    directions: Tensor


def spread_of(batches: Iterable[Tensor], directions: int) -> Spread:
    """The spread of normal cells, given as batches of (B, h, w, C) with h, w ≥ 2."""
    lengths, moment, count = [], torch.zeros(()), 0
    for cells in batches:
        across = (cells[:, :, 1:] - cells[:, :, :-1]).flatten(0, 2)
        down = (cells[:, 1:] - cells[:, :-1]).flatten(0, 2)
        differences = torch.cat([across, down])
        lengths.append(torch.linalg.vector_norm(differences, dim=1))
        moment = moment.to(cells.device) + differences.T @ differences
        count += len(differences)
    # Their mean is zero: which of two neighbours is subtracted is a convention.
    values, vectors = torch.linalg.eigh(moment.double() / count)
    kept = min(directions, len(values))
    scale = values[-kept:].clamp(min=0).sqrt()
    distances = torch.cat(lengths)
    principal = (vectors[:, -kept:] * scale).T
    # Not torch.quantile, which refuses more than 2^24 elements.
    rank = max(1, math.ceil(QUANTILE * len(distances)))
    return Spread(distances.kthvalue(rank).values, principal.to(distances.dtype))


def draw_regions(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Connected regions of a grid: turned ellipses, from three cells a side to bands across it.

    Half axes are log-uniform from one cell to half the grid's longer side. Returns bool (count,
    height, width), on the generator's device; none is empty.
    """
    device = generator.device
    drawn = torch.rand(count, 5, generator=generator, device=device)
    top, left, long, other, turn = drawn.T[:, :, None, None]
    top, left = top * (height - 1), left * (width - 1)
    ratio = max(height, width) / 2 / SMALLEST
    half, half_other = (SMALLEST * ratio**share for share in (long, other))
    ys = torch.arange(height, device=device)[:, None] - top
    xs = torch.arange(width, device=device) - left
    cosine, sine = torch.cos(math.pi * turn), torch.sin(math.pi * turn)
    along, beside = xs * cosine + ys * sine, ys * cosine - xs * sine
    inside: Tensor = (along / half).square() + (beside / half_other).square() <= 1
    return inside


def draw_directions(spread: Spread, count: int, generator: torch.Generator) -> Tensor:
    """Unit vectors (count, C) of the principal subspace, distributed as the differences are."""
    shape = (count, len(spread.directions))
    weights = torch.randn(shape, generator=generator, device=generator.device)
    return unit(weights.to(spread.directions.dtype) @ spread.directions)


def draw_lengths(
    spread: Spread, reach: tuple[float, float], count: int, generator: torch.Generator
) -> Tensor:
    """v · q, (count, 1): v is Beta(2, 4) on `reach`, as the visibility of display defects is."""
    drawn = torch.rand(count, 5, generator=generator, device=generator.device)
    # The second smallest of five uniform numbers is distributed as Beta(2, 4).
    visibility = reach[0] + (reach[1] - reach[0]) * drawn.sort(dim=1).values[:, 1:2]
    return visibility.to(spread.distance.dtype) * spread.distance


def unit(vectors: Tensor) -> Tensor:
    """Rows scaled to length 1; a zero row stays."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / length.clamp(min=1e-20)
