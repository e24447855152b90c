"""The two trainable modules of GLASS and its relatives: adaptor and discriminator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.nn.precision import full_precision

SLOPE = 0.2  # of the leaky ReLU
MOMENTUM = 0.1  # of the running statistics


class Adaptor(nn.Module):
    """One linear layer dim → dim (`docs/spec/glass.md` §5); 1536 have 2,360,832 parameters.

    The map is affine, so the mean of adapted features is the adapted mean. generator: the only
    source of randomness.
    """

    def __init__(self, dim: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = _linear(dim, dim, generator)

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        adapted: Tensor = self.linear(features)
        return adapted


class Discriminator(nn.Module):
    """Scores every row alone: Linear → BatchNorm → LeakyReLU(0.2) → Linear without bias (§5).

    1536 → 1024 → 1 as published: 1,576,960 parameters. In train mode BatchNorm uses the statistics
    of the rows given and updates its running ones, so which rows share a call, and how many calls
    there are, is part of the method.
    """

    def __init__(self, dim: int, hidden: int = 1024, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = _linear(dim, hidden, generator)
        self.norm = nn.BatchNorm1d(hidden, momentum=MOMENTUM)
        self.tail = _linear(hidden, 1, generator, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits, (N, dim) -> (N,). A logit keeps its gradient where a score is rounded to 1."""
        return self.after_first(self.first(rows))

    def after_first(self, hidden: Tensor) -> Tensor:
        """Logits (N,) of what the first layer made of the rows, (N, hidden).

        In full precision also under autocast: products are cheap here and logits are not.
        """
        with full_precision(hidden):
            normed = self.norm(hidden.to(self.norm.weight.dtype))
            logits: Tensor = self.tail(F.leaky_relu(normed, SLOPE)).squeeze(1)
        return logits

    def scores(self, rows: Tensor) -> Tensor:
        """Anomaly scores in [0, 1], (N, dim) -> (N,): 0 normal, 1 anomalous."""
        return torch.sigmoid(self(rows))


def composed(adaptor: Adaptor, discriminator: Discriminator) -> tuple[Tensor, Tensor]:
    """The adaptor and the discriminator's first layer as one affine map, weight and bias.

    Both are affine, so hidden = features · weightᵀ + bias needs one product a row where the two
    need two, in both directions, and the adapted features are never formed. Differentiable in the
    four parameters. Returns (hidden, dim) and (hidden,), in full precision.
    """
    inner, outer = adaptor.linear, discriminator.first
    with full_precision(outer.weight):
        return outer.weight @ inner.weight, F.linear(inner.bias, outer.weight, outer.bias)


def _linear(fan_in: int, fan_out: int, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """Xavier-normal weights and a uniform bias in ±1/√fan_in, drawn from `generator` alone."""
    # An ordinary nn.Linear would draw from, and so move, the global generator first.
    layer = nn.Linear(fan_in, fan_out, bias=bias, device="meta").to_empty(device="cpu")
    nn.init.xavier_normal_(layer.weight, generator=generator)
    if bias:
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
