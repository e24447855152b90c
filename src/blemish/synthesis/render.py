"""render: recipes + normal images + textures → synthetic images and masks, a pure function."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.synthesis.masks import draw_masks
from blemish.synthesis.textures import TextureBank


def render(
    recipes: pd.DataFrame, images: Tensor, textures: TextureBank, cell: int
) -> tuple[Tensor, Tensor]:
    """Draw one defect on each image (`methods/glass.md` §3.4).

    recipes: B rows; images: (B, 3, H, W) uint8, the normal image of each row, on any device.
    Returns float32 images (B, 3, H, W) in [0, 1] and bool masks (B, H, W). A row's result does
    not depend on the rows beside it. The published blend happens after ImageNet normalisation;
    that is affine and the blend's weights sum to one, so blending before it is the same.
    """
    height, width = images.shape[-2:]
    normal = images.float() / 255
    masks = torch.zeros(len(recipes), height, width, dtype=torch.bool, device=images.device)
    seeds = torch.tensor(recipes["seed"].tolist(), device=images.device)
    for kind, rows in recipes.groupby("kind", sort=True).indices.items():
        chosen = torch.as_tensor(rows, device=images.device)
        masks[chosen] = draw_masks(str(kind), seeds[chosen], height, width, cell)
    texture = _textures(recipes, textures, height, width).to(images.device)
    share = 1 - torch.tensor(recipes["beta"].tolist(), device=images.device)[:, None, None, None]
    return normal + masks[:, None] * share * (texture - normal), masks


def _textures(recipes: pd.DataFrame, bank: TextureBank, height: int, width: int) -> Tensor:
    drawn = [
        bank.draw(name, int(seed), height, width)
        for name, seed in zip(recipes["texture"], recipes["seed"], strict=True)
    ]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
