"""The weights of the best epoch, judged on validation normals (ours, `docs/spec/esad.md` §10)."""

import copy
import math

import torch
from torch import Tensor, nn


class Best(nn.Module):
    """Remembers the networks of the epoch with the smallest loss; equal ones: of the first."""

    smallest: Tensor

    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = copy.deepcopy(networks)
        self.register_buffer("smallest", torch.tensor(math.inf, dtype=torch.float64))

    def offer(self, networks: nn.Module, loss: Tensor) -> None:
        """Take over the networks if their loss is smaller than any before."""
        if loss < self.smallest:
            self.smallest.copy_(loss)
            self.networks.load_state_dict(networks.state_dict())
