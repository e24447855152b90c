"""render: recipes + normal images + textures → synthetic images and masks, a pure function."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.synthesis.kind import Batch
from blemish.synthesis.kinds import TRAINED, UNTRAINED, kind
from blemish.synthesis.textures import TextureBank


def render(
    recipes: pd.DataFrame,
    images: Tensor,
    textures: TextureBank,
    cell: int,
    foreground: Tensor | None = None,
    side: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw one defect on each image, each as its recipe's kind says.

    recipes: B rows; images: (B, 3, H, W) uint8, the normal image of each row, on any device;
    foreground: (B, H, W) bool, where defects may lie, or None for everywhere; side: the shorter
    side, in these pictures' pixels, of the whole image that they are cut from, or None where they
    are whole. Returns float32 images (B, 3, H, W) in [0, 1] and bool masks (B, H, W). A row's
    result does not depend on the rows beside it. Raises UserError where no defect fits, see
    `masks.draw_until_seen`.

    Soft shapes, real crops and held-out shapes have the size that they have in the whole image,
    and are cut off where they leave a window. What is published relative to the picture that a
    network sees stays so: Perlin noise, DLAS-Net's lines and points, CutPaste's pieces, and so do
    textures and the surroundings in which local noise is measured.
    """
    kinds = recipes["kind"].to_numpy(dtype=object)
    groups = {str(name): np.flatnonzero(kinds == name) for name in sorted(set(kinds))}
    unknown = sorted(groups.keys() - {*TRAINED, *UNTRAINED})
    if unknown:
        raise UserError(f"a recipe of the unknown kind {unknown[0]!r}: synthesize the unit again")
    seeds = torch.tensor(recipes["seed"].tolist(), device=images.device)
    if len(groups) == 1:
        (name,) = groups
        return kind(name).draw(Batch(recipes, images, foreground, seeds, textures, cell, side))
    pictures = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    masks = torch.empty((len(images), *images.shape[2:]), dtype=torch.bool, device=images.device)
    for name, rows in groups.items():
        chosen = torch.as_tensor(rows, device=images.device)
        inside = None if foreground is None else foreground[chosen]
        own = recipes.iloc[rows], images[chosen], inside, seeds[chosen]
        pictures[chosen], masks[chosen] = kind(name).draw(Batch(*own, textures, cell, side))
    return pictures, masks
