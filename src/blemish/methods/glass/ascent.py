"""Feature-level synthesis: noise, gradient ascent and projection (`docs/spec/glass.md` §§7–8).

The published loop ascends in the space of features; this one in that of the discriminator's first
layer, z(x) = W x + b, and gives the same rows (§20). Why: with W fixed during the loop and δ
the gradient of the loss with respect to z(g), row by row,

* the gradient with respect to g is δ W; its length needs only K = W Wᵀ: ‖δ W‖² = ⟨δ K, δ⟩;
* a step g ← g + κ δ W moves z(g) by κ δ K, so that the next gradient is known without g;
* the offset o = g − p from the point p that the projection clips around (u on the manifold, the
  centre c on the hypersphere) is o′ + D W, with o′ the offset after the last projection and D the
  sum of κ δ since. Its length follows from z alone: with Q = z(g) − z(p) = o Wᵀ and Q′ = o′ Wᵀ,
  ‖o‖² = ‖o′‖² + 2 ⟨o′ Wᵀ, D⟩ + ⟨D K, D⟩ = ‖o′‖² + ⟨Q′ + Q, D⟩;
* a projection multiplies o by a number a row, hence Q, too: z(g) ← z(p) + factor · Q.

Nothing in this depends on what p is: it holds for the manifold and for the hypersphere. A step
costs a product of N×H×H instead of two products of 2N×C×H. Afterwards
on the manifold g = u + constant, and the constant, scale · noise + steps · W, is never formed;
on the hypersphere the projections have Jacobians, so g is built again from u, differentiably, with
the D of each part as constants.
"""

from typing import Any

import torch
from torch import Tensor

from blemish.methods.glass.heads import Discriminator
from blemish.methods.glass.hidden_ascent import TINY, Ascent, Projection, ascend
from blemish.nn.precision import product_dtype


def band(low: float | Tensor, high: float | Tensor) -> Projection:
    """Lengths are clipped to [low, high], GLASS's truncated projection."""
    return lambda lengths: lengths.clamp(min=low).clamp(max=high)


def project(offsets: Tensor, projection: Projection) -> Tensor:
    """Rescale each row (N, C) to the length that the projection wants; differentiable."""
    length = torch.linalg.vector_norm(offsets, dim=1, keepdim=True)
    projected: Tensor = offsets * (projection(length) / (length + TINY))
    return projected


def manifold_ascent(
    discriminator: Discriminator,
    hidden: Tensor,
    noise: Tensor,
    ascent: Ascent,
    projection: Projection,
) -> Tensor:
    """Synthetic anomalies g around the normal rows u, hard for the discriminator (§7).

    The loss of [u; g] against "anomalous" is increased over g in row-wise normalised steps from
    g = u + noise; the projection sees g − u. BatchNorm's running statistics see every step.

    hidden: z(u) (N, H), float32 or float64, with its graph. noise: (N, C).
    Returns z(g) (N, H) with its graph to z(u) and to W, for `discriminator.after_first`.
    """
    weight, normal = discriminator.first.weight, hidden.detach()
    start = normal + _images(noise, weight)
    length = torch.linalg.vector_norm(noise, dim=1, keepdim=True)
    result = ascend(discriminator, normal, normal, start, length, ascent, projection)
    moved = result.hidden - normal
    offset: Tensor = _OffsetImage.apply(weight, noise, *result.total(), moved)
    return hidden + offset


def hypersphere_ascent(
    discriminator: Discriminator,
    u: Tensor,
    noise: Tensor,
    center: Tensor,
    ascent: Ascent,
    projection: Projection,
) -> Tensor:
    """As `manifold_ascent`, but the projection sees g − center.

    u, noise: (N, C). center: (P, C), N a multiple of P. Returns g (N, C), differentiable in u: the
    gradient passes through every projection, while the steps themselves are constants.
    """
    weight, bias = discriminator.first.weight, discriminator.first.bias
    with torch.no_grad():
        repeats = len(u) // len(center)
        normal = _images(u, weight) + bias
        base = (_images(center, weight) + bias).repeat(repeats, 1)
        start = normal + _images(noise, weight)
    center = center.repeat(repeats, 1)
    offset = u + noise - center
    length = torch.linalg.vector_norm(offset.detach(), dim=1, keepdim=True)
    result = ascend(discriminator, normal, base, start, length, ascent, projection)
    for number, steps in enumerate(result.steps):
        offset = offset + steps @ weight.detach()
        if number < len(result.factors):
            offset = project(offset, projection)
    return center + offset


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
    synthetic: Tensor, anomalous: Tensor, center: Tensor, projection: Projection
) -> Tensor:
    """Project the anomalous rows alone around the centre; GLASS: into the band [2r, 4r] (§8).

    synthetic, center: (N, C). anomalous: bool (N,). Returns (N, C) with gradient.
    """
    moved = center + project(synthetic - center, projection)
    return torch.where(anomalous[:, None], moved, synthetic)


def _images(rows: Tensor, weight: Tensor) -> Tensor:
    """rows · Wᵀ without graph, (N, C) -> (N, H), in the dtype of W."""
    with torch.no_grad():
        return (rows @ weight.T).to(weight.dtype)


class _OffsetImage(torch.autograd.Function):
    """z(g) − z(u) = Δ Wᵀ as a function of W, for the constant Δ = scale · noise + steps · W.

    The value is known from the ascent; ∂/∂W = slopeᵀ Δ needs Δ in no row.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, noise: Tensor, scale: Tensor, steps: Tensor, value: Tensor
    ) -> Tensor:
        """weight (H, C), noise (N, C), scale (N, 1), steps (N, H) -> value (N, H)."""
        ctx.save_for_backward(weight, noise, scale, steps)
        ctx.dtype = product_dtype(weight)
        return value

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """slopes: a single tensor, (N, H) -> the gradient of `weight`."""
        weight, noise, scale, steps = ctx.saved_tensors
        (slope,) = slopes
        kept = slope.to(ctx.dtype).T @ steps.to(ctx.dtype)
        direct = (scale * slope).to(ctx.dtype).T @ noise.to(ctx.dtype)
        return direct.to(weight.dtype) + kept.to(weight.dtype) @ weight, None, None, None, None
