"""Features made alike in all directions: mean 0, no correlation, deviation 1 (ours).

Neighbouring entries of pooled features say nearly the same, and few directions hold most of their
spread. Distances and noise of one length then mean little: what is far in a direction in which
normals never differ counts as near. Whitening measures each direction by the normals' own spread.
Directions of nearly no spread are noise: `SHRINKAGE` of the mean variance is added to each.
"""

import torch
from torch import Tensor, nn

SHRINKAGE = 0.1


class Moments:
    """Count, sum and products of rows that come in parts, in float64."""

    def __init__(self, dim: int, device: torch.device) -> None:
        self.count = 0
        self.sum = torch.zeros(dim, dtype=torch.float64, device=device)
        self.products = torch.zeros(dim, dim, dtype=torch.float64, device=device)

    def add(self, rows: Tensor) -> None:
        """(N, C)."""
        rows = rows.double()
        self.count += len(rows)
        self.sum += rows.sum(dim=0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        """(C,)."""
        return self.sum / self.count

    @property
    def covariance(self) -> Tensor:
        """(C, C), of the sample."""
        mean = self.mean
        return (self.products - self.count * torch.outer(mean, mean)) / max(1, self.count - 1)


class Whitening(nn.Module):
    """x → (x − mean) · matrixᵀ, learnt from rows; the identity until then.

    mean: (C,); matrix: (C, C), symmetric, so that each entry stays as near to itself as it can
    (Kessy, Lewin & Strimmer, *Optimal whitening and decorrelation*, 2018: ZCA).
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim))

    def learn(self, moments: Moments) -> None:
        """Take mean and matrix from the moments of the normals' rows."""
        variances, directions = torch.linalg.eigh(moments.covariance.cpu())
        floor = max(SHRINKAGE * float(variances.mean()), torch.finfo(torch.float32).tiny)
        shares = (variances.clamp(min=0) + floor).rsqrt()
        self.mean.copy_(moments.mean)
        self.matrix.copy_(directions * shares @ directions.T)

    def forward(self, rows: Tensor) -> Tensor:
        """(…, C) → (…, C)."""
        return (rows - self.mean) @ self.matrix.T
