"""Pictures of fields and maps for the report."""

import matplotlib
import torch
from torch import Tensor

from blemish.methods.dmad.fields import length


def field_picture(field: Tensor, reach: float) -> Tensor:
    """A field (B, 2, H, W) in colours, uint8 (B, 3, H, W): the hue is where to, white is nowhere.

    Full colour is a displacement of `reach` and more.
    """
    turn = torch.atan2(field[:, 1:], field[:, :1]) * (3 / torch.pi)  # six sectors a circle
    offsets = turn.new_tensor([0, 4, 2]).view(1, 3, 1, 1)
    hue = (((turn + offsets) % 6 - 3).abs() - 1).clamp(0, 1)
    strength = (length(field) / reach).clamp(max=1)
    return ((1 + strength * (hue - 1)) * 255).round().byte()


def heat_pictures(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Maps (B, 1, H, W) as heat, uint8 (B, 3, H, W), each image's on one scale for all maps."""
    every = torch.cat(list(maps.values()), dim=1)
    low, high = every.amin(dim=(1, 2, 3)), every.amax(dim=(1, 2, 3))
    span = (high - low).clamp(min=torch.finfo(every.dtype).tiny)
    return {
        caption: _heat((batch[:, 0] - low[:, None, None]) / span[:, None, None])
        for caption, batch in maps.items()
    }


def _heat(shares: Tensor) -> Tensor:
    colours = matplotlib.colormaps["inferno"](shares.cpu().numpy(), bytes=True)[..., :3]
    return torch.from_numpy(colours).permute(0, 3, 1, 2)
