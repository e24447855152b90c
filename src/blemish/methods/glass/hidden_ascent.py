"""Gradient ascent in the discriminator's hidden space; module `ascent` says why it is exact."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.methods.glass.heads import MOMENTUM, SLOPE, Discriminator
from blemish.nn.precision import full_precision, product_dtype

TINY = 1e-10
BLOCK = 256  # rows that stay in a core's cache from one operation to the next

# Takes the lengths of offsets, (N, 1), to the lengths they shall have.
Projection = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ascent:
    """How long and how many the steps are; the defaults are GLASS's.

    steps: 0 leaves the noise as it is. step_length: L2 length of a row's step.
    project_every: the projection follows every so many steps.
    gain: a step is longer by `gain` times its gradient's length (DLAS-Net: 1).
    """

    steps: int = 20
    step_length: float = 0.001
    project_every: int = 5
    gain: float = 0.0


@dataclass(frozen=True)
class AscentResult:
    """Where an ascent led.

    hidden: z(g), (N, H). steps: for each part between projections its D, (N, H). factors: what the
    projection that ended each part multiplied the offset with, (N, 1); one fewer than `steps` if
    the last part had none.
    """

    hidden: Tensor
    steps: list[Tensor] = field(default_factory=list)
    factors: list[Tensor] = field(default_factory=list)

    def total(self) -> tuple[Tensor, Tensor]:
        """scale (N, 1) and steps (N, H) of the offset, scale · (offset at start) + steps · W."""
        scale, total = torch.ones_like(self.hidden[:, :1]), torch.zeros_like(self.hidden)
        for number, steps in enumerate(self.steps):
            total += steps
            if number < len(self.factors):
                total *= self.factors[number]
                scale *= self.factors[number]
        return scale, total


@torch.no_grad()
def ascend(
    discriminator: Discriminator,
    normal: Tensor,
    base: Tensor,
    start: Tensor,
    length: Tensor,
    ascent: Ascent,
    projection: Projection,
) -> AscentResult:
    """Ascend from `start`, in train mode: BatchNorm's running statistics see every step.

    normal, base, start: z(u), z(p) and z(g) at the start, (N, H), where the projection sees the
    length of g − p. length: that length at the start, (N, 1).
    """
    weight = discriminator.first.weight
    dtype = product_dtype(weight)
    with full_precision(weight):
        gram = (weight @ weight.T).to(dtype)
        slope = _Slope(discriminator, normal)
        # BatchNorm takes a mean away; without the common part sums of squares lose no digits.
        hidden, base = start - slope.shift, base - slope.shift
        result = AscentResult(hidden)
        for step in range(ascent.steps):
            if step % ascent.project_every == 0:
                since = hidden.clone()
                result.steps.append(torch.zeros_like(hidden))
            slope.learn_statistics(hidden)
            for rows in _blocks(hidden):
                _move(hidden[rows], result.steps[-1][rows], slope.at(hidden, rows), gram, ascent)
            if (step + 1) % ascent.project_every == 0:
                change = torch.linalg.vecdot(since + hidden - 2 * base, result.steps[-1])
                length = (length.square() + change[:, None]).clamp(min=0).sqrt()
                factor = projection(length) / (length + TINY)
                result.factors.append(factor)
                length = factor * length
                torch.lerp(base, hidden, factor, out=hidden)
        hidden += slope.shift
    return result


def _move(hidden: Tensor, steps: Tensor, slope: Tensor, gram: Tensor, ascent: Ascent) -> None:
    """One normalised step of some rows: z += κ δ K, D += κ δ."""
    image = (slope.to(gram.dtype) @ gram).to(slope.dtype)
    length = torch.linalg.vecdot(slope, image)[:, None].clamp(min=0).sqrt()
    factor = ascent.step_length * (1 + ascent.gain * length) / (length + TINY)
    hidden.addcmul_(image, factor)
    steps.addcmul_(slope, factor)


class _Slope:
    """∂L/∂z(g) of L = mean BCE(score(g), 1), where [u; g] share BatchNorm's batch.

    The rows u enter the batch's statistics but not the loss. With q = −sigmoid(−logit)/N the
    gradient at a logit, w the last layer's weights, γ BatchNorm's, m ∈ {1, 0.2} the leaky ReLU's
    derivative, σ² the variance, and means over the 2N rows, BatchNorm's derivative is

        δ = γ w / σ · (q m − mean(q m) − ẑ · mean(q m ẑ)),   ẑ = (z − mean) / σ,

    where γ · mean(q m ẑ) = mean(q m (γ ẑ + β)) − β · mean(q m): the leaky ReLU's outputs, weighed.
    """

    def __init__(self, discriminator: Discriminator, normal: Tensor) -> None:
        self.norm, self.out = discriminator.norm, discriminator.tail.weight[0]
        self.rows = len(normal)
        self.shift = normal.mean(dim=0)
        self.squares = normal.var(dim=0, unbiased=False) * self.rows  # of u, about the shift

    def learn_statistics(self, hidden: Tensor) -> None:
        """Compute the sums over the batch that each row's gradient needs.

        hidden: z(g) minus `self.shift`.
        """
        count, norm = 2 * self.rows, self.norm
        first, second = torch.zeros_like(self.shift), self.squares.clone()
        for rows in _blocks(hidden):
            first += _column_sums(hidden[rows])
            second += _column_sums(hidden[rows].square())
        mean = first / count
        variance = second / count - mean.square()
        self._track(mean, variance, count)
        inverse = torch.rsqrt(variance + norm.eps)
        scale = norm.weight * inverse
        flat, leaning = self._logit_sums(hidden, scale, norm.bias - mean * scale)
        self.height = scale * self.out
        self.tilt = inverse.square() * self.out * (leaning - norm.bias * flat) / count
        self.level = self.height * flat / count - mean * self.tilt

    def at(self, hidden: Tensor, rows: slice) -> Tensor:
        """δ of some rows, (n, H)."""
        q, active = self.logits[rows.start]
        slope = torch.addcmul(-self.level, hidden[rows], self.tilt, value=-1)
        return slope.addcmul_(torch.where(active, q, SLOPE * q), self.height)

    def _logit_sums(self, hidden: Tensor, scale: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Σ q m and Σ q m (γ ẑ + β) over the rows, (H,) each; keeps q and where m is 1."""
        self.logits: dict[int, tuple[Tensor, Tensor]] = {}
        total = hidden.new_zeros(())
        active_sum, leaning = torch.zeros_like(self.shift), torch.zeros_like(self.shift)
        for rows in _blocks(hidden):
            normed = torch.addcmul(offset, hidden[rows], scale)
            active = normed > 0
            leaky = F.leaky_relu_(normed, SLOPE)
            q = torch.sigmoid(-torch.mv(leaky, self.out)) / -self.rows
            leaning += torch.mv(leaky.T, q)
            active_sum += torch.mv(active.to(q.dtype).T, q)
            total += q.sum()
            self.logits[rows.start] = (q[:, None], active)
        return SLOPE * total + (1 - SLOPE) * active_sum, leaning

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as a call in train mode does."""
        self.norm.get_buffer("num_batches_tracked").add_(1)
        self.norm.get_buffer("running_mean").lerp_(mean + self.shift, MOMENTUM)
        self.norm.get_buffer("running_var").lerp_(variance * (count / (count - 1)), MOMENTUM)


def _column_sums(rows: Tensor) -> Tensor:
    """(n, H) -> (H,); as a product it is faster than `sum`."""
    return torch.mv(rows.T, rows.new_ones(len(rows)))


def _blocks(rows: Tensor) -> list[slice]:
    """All rows at once on a GPU, which has no use for blocks."""
    size = BLOCK if rows.device.type == "cpu" else len(rows)
    return [slice(start, start + size) for start in range(0, len(rows), size)]
