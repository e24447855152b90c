"""Random numbers that are a pure function of a seed and a position.

A recipe's pixels must not depend on the batch it is drawn in, on the order or on the device, so
nothing here has a state: every number is a hash of (seed, stream, position).
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Hashes = NDArray[np.uint32]


def uniforms(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1).

    seeds: (B,) int64 in [0, 2^32). `stream` tells apart the uses of one seed.
    Returns (B, count) float64 where the seeds are; hashed on the CPU, the same for every device.
    """
    keys = seeds.cpu().numpy().astype(np.uint32) ^ _mix_int(stream)
    hashed = _mix(_mix(keys)[:, None] ^ _positions(count))
    return torch.from_numpy(hashed / 2.0**32).to(seeds.device)


def _mix(values: Hashes) -> Hashes:
    """The finaliser of MurmurHash3 (Austin Appleby, public domain); products wrap on purpose."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


@cache
def _mix_int(value: int) -> np.uint32:
    return np.uint32(_mix(np.array([value * 0x632BE5AB & 0xFFFFFFFF], dtype=np.uint32))[0])


@cache
def _positions(count: int) -> Hashes:
    return _mix(np.arange(count, dtype=np.uint32) + np.uint32(0x9E3779B9))
