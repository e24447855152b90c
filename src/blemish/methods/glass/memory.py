"""A memory of normal cells beside the heads (ours): what is far from all of them is anomalous too.

Heads that learn from drawn defects and noise know what they were shown. A real defect may look
like neither, yet unlike all normals: that the distance to the nearest remembered cell tells
(PatchCore, `docs/spec/patchcore.md`). Both numbers are measured in deviations of the validation
normals' cells and added, so that none needs a weight.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from blemish.methods.patchcore.coreset import Coreset
from blemish.methods.patchcore.scoring import nearest


class Memory(nn.Module):
    """Normal cells that are remembered.

    bank: (n, C), chosen by the greedy k-centre rule; empty until training ends, also in the
    weights that are kept of its epochs.
    """

    bank: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("bank", torch.zeros(0, dim))
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    @property
    def filled(self) -> bool:
        """Whether anything is remembered yet."""
        return len(self.bank) > 0

    def choose(self, cells: Tensor, size: int, generator: torch.Generator) -> None:
        """Remember `size` of the normal cells (N, C), or all where they are fewer."""
        size = min(size, len(cells))
        first = int(torch.randint(len(cells), (), generator=generator))
        coreset = Coreset(cells.clone(), size, first)
        coreset.grow(size)
        self.bank = cells[coreset.picked].contiguous()

    def distance(self, cells: Tensor) -> Tensor:
        """How far each cell is from the nearest remembered one: (…, C) -> (…,) float64."""
        return nearest(cells.flatten(0, -2), self.bank)[0].view(cells.shape[:-1])


class WeighedMemory(Memory):
    """A memory that knows how logits and distances of normals spread, so that both can be added.

    mean, std: (2,) of logit and distance.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("mean", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("std", torch.ones(2, dtype=torch.float64))

    def balance(self, unseen: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learn how both numbers spread over unseen normal cells: parts of (N,) and (N, C)."""
        both = torch.cat([self._both(*part) for part in unseen])
        std, mean = torch.std_mean(both, dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def add(self, logits: Tensor, cells: Tensor) -> Tensor:
        """The sum of both in their deviations: (…,) float64 and (…, C) -> (…,) float64."""
        both = (self._both(logits.flatten(), cells.flatten(0, -2)) - self.mean) / self.std
        return both.sum(dim=1).view(logits.shape)

    def _both(self, logits: Tensor, cells: Tensor) -> Tensor:
        return torch.stack([logits.double(), self.distance(cells)], dim=1)


def _make_room(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A file's bank has as many rows as it has."""
    bank = state.get(f"{prefix}bank")
    if bank is not None:
        module.bank = module.bank.new_zeros(len(bank), module.bank.shape[1])
