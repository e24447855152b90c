"""Feature-level synthesis: noise, gradient ascent and projection (`methods/glass.md` §6–8)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blemish.nn.losses import anomalous_loss

TINY = 1e-10


@dataclass(frozen=True)
class Ascent:
    """How far and how often to climb; the defaults are the published ones.

    steps: 0 leaves the noise as it is. step_length: L2 length of a row's step.
    project_every: the projection follows every so many steps.
    """

    steps: int = 20
    step_length: float = 0.001
    project_every: int = 5


def gradient_ascent(
    discriminator: Callable[[Tensor], Tensor],
    u: Tensor,
    noise: Tensor,
    ascent: Ascent,
    project: Callable[[Tensor], Tensor],
    center: Tensor | None = None,
) -> Tensor:
    """Synthetic anomalies near the normal rows `u`, hard for the discriminator (§7).

    The loss of [u; g] against "anomalous" is increased over g in row-wise normalised steps. The
    projection sees offsets g − u, the manifold hypothesis, or g − center where a centre is given,
    the hypersphere; `clip_length` is the published one.

    discriminator: rows (2N, C) -> logits (2N,); called `ascent.steps` times in the mode it is in,
    so that in train mode its BatchNorm sees every step. u, noise, center: (N, C).
    Returns (N, C), differentiable in u: g = u + constant on the manifold; on the hypersphere the
    gradient passes through every projection, while the steps themselves are constants.
    """
    base, offset = (u, noise) if center is None else (center, u + noise - center)
    for step in range(1, ascent.steps + 1):
        gradient = _ascent_gradient(discriminator, u.detach(), (base + offset).detach())
        length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        offset = offset + ascent.step_length * gradient / (length + TINY)
        if step % ascent.project_every == 0:
            offset = project(offset)
    return base + offset


def clip_length(offsets: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Rescale each row (N, C) to an L2 length within [low, high], the truncated projection."""
    length = torch.linalg.vector_norm(offsets, dim=1, keepdim=True)
    return offsets * (length.clamp(min=low).clamp(max=high) / (length + TINY))


def hypersphere_radius(
    u: Tensor, synthetic: Tensor, anomalous: Tensor, center: Tensor, quantile: float = 0.75
) -> Tensor:
    """The radius around the centre that holds a share `quantile` of the batch's normal rows (§7).

    Normal are all rows u and the rows of the synthetic images outside their masks.
    u, synthetic, center: (N, C). anomalous: bool (N,). Returns a scalar tensor without gradient.
    """
    with torch.no_grad():
        normal = torch.linalg.vector_norm(u - center, dim=1)
        outside = torch.linalg.vector_norm(synthetic - center, dim=1)
        # NaN marks what does not count: selecting rows would make the host wait for the device.
        outside = outside.masked_fill(anomalous, torch.nan)
        return torch.nanquantile(torch.cat([normal, outside]), quantile)


def push_out(
    synthetic: Tensor, anomalous: Tensor, center: Tensor, low: float | Tensor, high: float | Tensor
) -> Tensor:
    """Clip the distance from the centre of the anomalous rows only; GLASS: to [2r, 4r] (§8).

    synthetic, center: (N, C). anomalous: bool (N,). Returns (N, C) with gradient.
    """
    moved = center + clip_length(synthetic - center, low, high)
    return torch.where(anomalous[:, None], moved, synthetic)


def _ascent_gradient(
    discriminator: Callable[[Tensor], Tensor], normal: Tensor, points: Tensor
) -> Tensor:
    """∂L/∂points (N, C) of the loss against "anomalous", normal rows sharing BatchNorm's batch."""
    points.requires_grad_()
    logits = discriminator(torch.cat([normal, points]))
    (gradient,) = torch.autograd.grad(anomalous_loss(logits[len(normal) :]), points)
    return gradient
