"""Mixed precision: which products autocast shortens, and what stays exact beside it."""

import torch
from torch import Tensor


def full_precision(like: Tensor) -> torch.autocast:
    """A block without autocast on the device of `like`."""
    return torch.autocast(like.device.type, enabled=False)


def product_dtype(like: Tensor) -> torch.dtype:
    """What matrix products on the device and of the dtype of `like` compute in at this place."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
