"""The two trainable modules of GLASS and its relatives: adaptor and discriminator."""

import math

import torch
from torch import Tensor, nn


class Adaptor(nn.Module):
    """Linear layers dim → dim without activation between them (`methods/glass.md` §5).

    One layer as published: 1536 → 1536 has 2,360,832 parameters. The map is affine, so the mean of
    adapted features is the adapted mean. generator: the only source of randomness.
    """

    def __init__(self, dim: int, layers: int = 1, *, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_linear(dim, dim, generator) for _ in range(layers)))

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.layers(features)


class Discriminator(nn.Module):
    """Scores every row alone: [Linear → BatchNorm → LeakyReLU(0.2)]… → Linear without bias (§5).

    `layers` counts the linear layers; two as published: 1536 → 1024 → 1 has 1,576,960 parameters.
    In train mode BatchNorm uses the statistics of the rows given and updates its running ones, so
    which rows share a call, and how many calls there are, is part of the method.
    """

    def __init__(
        self, dim: int, hidden: int = 1024, layers: int = 2, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width = dim
        for _ in range(layers - 1):
            blocks += [_linear(width, hidden, generator), nn.BatchNorm1d(hidden)]
            blocks.append(nn.LeakyReLU(0.2))
            width = hidden
        self.hidden = nn.Sequential(*blocks)
        self.tail = _linear(width, 1, generator, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits, (N, dim) -> (N,). A logit keeps its gradient where a score is rounded to 1."""
        return self.tail(self.hidden(rows)).squeeze(1)

    def scores(self, rows: Tensor) -> Tensor:
        """Anomaly scores in [0, 1], (N, dim) -> (N,): 0 normal, 1 anomalous."""
        return torch.sigmoid(self(rows))


def _linear(fan_in: int, fan_out: int, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """Xavier-normal weights and a uniform bias in ±1/√fan_in, drawn from `generator` alone."""
    # An ordinary nn.Linear would draw from, and so move, the global generator first.
    layer = nn.Linear(fan_in, fan_out, bias=bias, device="meta").to_empty(device="cpu")
    nn.init.xavier_normal_(layer.weight, generator=generator)
    if bias:
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
