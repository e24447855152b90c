"""The greedy k-centre coreset (Algorithm 1 of the paper) without a look at every point each time.

Greedy picks the point farthest from all picks, one after the other; done plainly, every pick
passes over all N points. But a distance to the picks only ever falls, so an old one is an upper
bound. A round takes the points with the highest bounds and brings those up to date, by blocks of
a matrix product; while the farthest of them is farther than any bound outside, it is the farthest
of all: the picks are those of greedy, and a point soon covered is never looked at again.
"""

from typing import Any

import torch
from torch import Tensor

CANDIDATES = 4096  # points that a round looks at
CENTRES = 512  # picks in one block of distances


class Coreset:
    """Farthest-point picks among `points`, grown in steps.

    points: (N, d) floating, which the coreset takes over: they are shifted in place to mean 0
    (distances stay, their rounding shrinks). size: picks in the end, at most N. first: the row of
    the first pick. Memory besides the points: 8 bytes a point, and blocks of `candidates` rows.
    Rows of equal distance may come in another order than in the plain loop.
    Raises ValueError for a point that is not finite.
    """

    def __init__(self, points: Tensor, size: int, first: int, candidates: int = CANDIDATES) -> None:
        self.points = points.sub_(points.mean(dim=0))
        self.candidates = min(candidates, len(points) - 1)
        self.picked = torch.full((size,), first, device=points.device)
        self.count = 1
        # Squared distance to the first `seen` picks; below zero once picked itself.
        centre = self.points[first : first + 1]
        parts = [nearest_squared(part, centre) for part in self.points.split(candidates)]
        self.bounds = torch.cat(parts)
        if not self.bounds.isfinite().all():
            raise ValueError("a point is not finite")
        self.bounds[first] = -1
        self.seen = torch.ones(len(points), dtype=torch.int32, device=points.device)
        # Distance of the last pick from those before it: the covering radius without it.
        self.radius = self.bounds.new_zeros(())

    def grow(self, count: int) -> None:
        """Go on until `count` points are picked, at most the coreset's size."""
        while self.count < count:
            self._round(count)

    def _round(self, count: int) -> None:
        top = self.bounds.topk(self.candidates + 1)
        limit = top.values[-1].clamp(min=0)  # no point outside is farther than this
        rows = top.indices
        self._refresh(rows, limit)
        rows = rows[self.bounds[rows] >= limit]
        near, points = self.bounds[rows], self.points[rows]
        while len(rows) and self.count < count:
            farthest, index = near.max(dim=0)
            if farthest < limit:
                break
            self.radius = farthest.sqrt()
            self.picked[self.count] = rows[index]
            self.count += 1
            near = near.minimum((points - points[index]).square().sum(dim=1))
            near[index] = -1
        self.bounds[rows] = near
        self.seen[rows] = self.count

    def _refresh(self, rows: Tensor, limit: Tensor) -> None:
        """Lower the bounds of `rows` by picks they have not seen; a row below `limit` may rest."""
        for start in range(int(self.seen[rows].min()), self.count, CENTRES):
            stop = min(start + CENTRES, self.count)
            live = rows[(self.bounds[rows] >= limit) & (self.seen[rows] < stop)]
            if not len(live):
                continue
            squared = nearest_squared(self.points[live], self.points[self.picked[start:stop]])
            self.bounds[live] = self.bounds[live].minimum(squared)
            self.seen[live] = stop

    def state_dict(self) -> dict[str, Any]:
        """All that picking changes."""
        names = ("picked", "count", "bounds", "seen", "radius")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same points."""
        device = self.points.device
        for name, value in state.items():
            setattr(self, name, value.to(device) if isinstance(value, Tensor) else value)


def nearest_squared(points: Tensor, centres: Tensor) -> Tensor:
    """Squared distance to the nearest centre by |x|² + |c|² − 2x·c: (P, d), (K, d) -> (P,)."""
    squares = centres.square().sum(dim=1)
    partial = torch.addmm(squares, points, centres.T, alpha=-2).amin(dim=1)
    return (partial + points.square().sum(dim=1)).clamp(min=0)
