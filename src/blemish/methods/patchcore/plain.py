"""PatchCore word for word as in `docs/spec/patchcore.md`; tests and benchmarks compare with it.

Nothing that is shipped imports this module.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

Distances = Callable[[Tensor, int], Tensor]


def patch_features(levels: Sequence[Tensor]) -> Tensor:
    """§1 where nothing is pooled to fewer dimensions: levels (B, C, h, w) → (B, h, w, ΣC)."""
    means = [F.avg_pool2d(level, 3, stride=1, padding=1) for level in levels]
    grid = means[0].shape[2:]
    enlarged = [F.interpolate(mean, grid, mode="bilinear", align_corners=False) for mean in means]
    return torch.cat(enlarged, dim=1).movedim(1, -1)


def squared_distances(points: Tensor, pick: int) -> Tensor:
    """From all points (N, d) to one of them, by differences: (N,)."""
    return (points - points[pick]).square().sum(dim=1)


def greedy(
    points: Tensor, size: int, first: int, distances: Distances = squared_distances
) -> tuple[list[int], float]:
    """§2, Algorithm 1: every pick passes over all points.

    Returns the picks, and how far the last one was from those before it. distances: squared.
    """
    picked, radius = [first], 0.0
    near = distances(points, first)
    for _ in range(size - 1):
        near[picked[-1]] = -1  # picked already; no other distance is below 0
        picked.append(int(near.argmax()))
        radius = math.sqrt(float(near[picked[-1]]))
        near = near.minimum(distances(points, picked[-1]))
    return picked, radius


def covering_radius(points: Tensor, picked: Tensor) -> float:
    """How far the farthest point is from its nearest pick; in float64, by blocks."""
    centres = points[picked].double()
    radii = [torch.cdist(part.double(), centres).amin(dim=1).max() for part in points.split(4096)]
    return float(torch.stack(radii).max())


def patch_distances(queries: Tensor, bank: Tensor) -> Tensor:
    """From each patch to each of the bank, in float64: (Q, C), (n, C) → (Q, n)."""
    return torch.stack([(bank.double() - patch).norm(dim=1) for patch in queries.double()])


def anomaly_map(features: Tensor, bank: Tensor, size: int, sigma: float) -> Tensor:
    """§3: an image's features (h, w, C) → its map (size, size), float64."""
    cells = patch_distances(features.flatten(0, 1), bank).amin(dim=1).view(features.shape[:2])
    large = F.interpolate(cells[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return torch.from_numpy(gaussian_filter(large.numpy(), sigma, mode="reflect", truncate=4.0))


def image_score(queries: Tensor, bank: Tensor, b: int) -> float:
    """§4: the score of an image's patches (Q, C)."""
    distances = patch_distances(queries, bank)
    nearest = distances.min(dim=1)
    query = int(nearest.values.argmax())  # m_test
    star = int(nearest.indices[query])  # m*
    best = float(nearest.values[query])  # s*
    around = patch_distances(bank[star : star + 1], bank)[0].argsort()[:b]
    total = sum(math.exp(float(distances[query, row])) for row in around)
    return (1 - math.exp(best) / total) * best
