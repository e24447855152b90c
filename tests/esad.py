"""A small ESAD and images for it."""

from typing import Any

import torch
from torch import Tensor, nn

from blemish.methods.esad.detector import Esad
from blemish.methods.esad.params import Params
from tests.methods.tiny import TINY
from tests.models import new

SECTION = TINY["esad"].params


def esad(**changes: Any) -> Esad:
    """A small ESAD in float64 whose BatchNorms have seen something."""
    method = new("esad", Params(**(SECTION | {"draws": 2} | changes))).double()
    generator = torch.Generator().manual_seed(0)
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 2, generator=generator)
            nn.init.normal_(module.bias, 0, 0.3, generator=generator)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
    return method.eval()


def images(count: int = 3, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, size, size, dtype=torch.float64, generator=generator) * 2 - 1
