"""Random numbers that are a pure function of a seed and a position.

A recipe's pixels must not depend on the batch it is drawn in, on the order or on the device, so
nothing here has a state: every number is a hash of (seed, stream, position).
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def uniforms(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1).

    seeds: (B,) int64 in [0, 2^32). `stream` tells apart the uses of one seed.
    Returns (B, count) float64, the same on every device.
    """
    positions = torch.arange(count, device=seeds.device, dtype=torch.int64)
    hashed = _mix(_mix(seeds ^ _mix_int(stream))[:, None] ^ _mix(positions + 0x9E3779B9)[None])
    return hashed.to(torch.float64) / 2.0**32


def _mix(values: Tensor) -> Tensor:
    """The finaliser of MurmurHash3 (Austin Appleby, public domain) on 32 bits kept in int64."""
    values = values & _MASK
    values = ((values ^ (values >> 16)) * 0x85EBCA6B) & _MASK
    values = ((values ^ (values >> 13)) * 0xC2B2AE35) & _MASK
    return values ^ (values >> 16)


def _mix_int(value: int) -> int:
    return int(_mix(torch.tensor(value * 0x632BE5AB & _MASK)))
