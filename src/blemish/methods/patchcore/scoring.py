"""Distances to a memory bank, and PatchCore's image score (paper, equations 6 and 7).

Which row is nearest is found in float32, by blocks of a matrix product around the bank's mean;
the distance to it is then taken in float64 from the difference itself, so that nothing cancels.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 4096  # of the bank in one block


def nearest(queries: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest row and which it is: (Q, C), (n, C) -> (Q,) float64, (Q,)."""
    least = queries.new_full((queries.shape[0],), torch.inf)
    rows = torch.zeros(queries.shape[0], dtype=torch.long, device=queries.device)
    for start, block in _blocks(queries, bank):
        value, row = block.min(dim=1)
        rows = torch.where(value < least, row + start, rows)
        least = value.minimum(least)
    return distances(queries, bank[rows]), rows


def image_score(queries: Tensor, distance: Tensor, rows: Tensor, bank: Tensor, b: int) -> Tensor:
    """Equation 7: the largest patch distance, less where its bank row lies alone; float64 ().

    queries, distance, rows: an image's patches and what `nearest` gave for them. The weight is
    1 − exp ‖q − m*‖ / Σ exp ‖q − m‖ over the b rows m nearest to m*, itself among them.
    """
    patch = distance.argmax()
    row = bank[rows[patch]][None]
    near_row = torch.cat([block[0] for _, block in _blocks(row, bank)])
    neighbours = near_row.topk(min(b, len(bank)), largest=False).indices
    around = distances(queries[patch], bank[neighbours])
    # As a softmax: exp of a distance itself may overflow.
    weight = 1 - torch.exp(distance[patch] - around.logsumexp(dim=0))
    return weight * distance[patch]


def distances(queries: Tensor, rows: Tensor) -> Tensor:
    """Of rows, in float64."""
    lengths: Tensor = torch.linalg.vector_norm(queries.double() - rows.double(), dim=-1)
    return lengths


def _blocks(queries: Tensor, bank: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Block after block of the bank: its first row, and |m|² − 2q·m (Q, rows), around the mean."""
    mean = bank.mean(dim=0)
    queries = queries - mean
    for start in range(0, len(bank), ROWS):
        block = bank[start : start + ROWS] - mean
        yield start, torch.addmm(block.square().sum(dim=1), queries, block.T, alpha=-2)
